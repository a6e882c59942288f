import { McpServer } from '@modelcontextprotocol/server'
import type { Desk } from '#client'
import { ask } from './asking.ts'
import { request } from './requesting.ts'
import { accounts, connect, status } from './signing-in.ts'
import { addTool } from './tool.ts'

export interface McpServerParts {
  /** The caller's own: what they may not do, no tool does. */
  readonly desk: Desk
  /** By which a sign-in is begun; the same, unless the caller stands back from somebody who may. */
  readonly signIns?: Desk | undefined
  readonly version: string
}

const INSTRUCTIONS = [
  'Valetkey keeps the accounts of a person and does requests with them for you.',
  'You never see a token, key or password, and you never ask the person for one.',
  'See what you may use by `accounts`; use it by `request`.',
  'What is missing you ask for: `ask` for a permission, `connect` for a sign-in that the person then finishes.',
].join(' ')

/** The tools over one caller's desk. None of them takes a secret, and none gives one away. */
export function mcpServer({ desk, signIns = desk, version }: McpServerParts): McpServer {
  const server = new McpServer(
    { name: 'valetkey', title: 'Valetkey', version },
    { capabilities: { tools: {} }, instructions: INSTRUCTIONS },
  )
  addTool(server, accounts(desk))
  addTool(server, connect(desk, signIns))
  addTool(server, status(desk, signIns))
  addTool(server, request(desk))
  addTool(server, ask(desk))
  return server
}
