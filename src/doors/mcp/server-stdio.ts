import type { Readable, Writable } from 'node:stream'
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio'
import { type Desk, ValetkeyError } from '#client'
import { AN_AGENT } from '../../model/caller.ts'
import { mcpServer } from './server.ts'

export interface StdioParts {
  readonly stdin: Readable
  readonly stdout: Writable
  readonly version: string
  /** Finds the broker, and stands back to a lesser caller where one is named. */
  readonly reach: (options: { readonly as?: string }) => Promise<{ readonly desk: Desk }>
  readonly as?: string
}

/** Serves the one client at the other end of standard input, until it has gone. */
export async function serveMcpStdio({ stdin, stdout, version, ...way }: StdioParts): Promise<void> {
  const desks = await agentsDesks(way)
  const transport = new StdioServerTransport(stdin, stdout)
  const { promise: gone, resolve } = Promise.withResolvers<void>()
  const served = serveStdio(() => mcpServer({ ...desks, version }), { transport })
  stdin.once('end', resolve)
  stdin.once('close', resolve)
  stdout.once('error', () => resolve())
  await gone
  await served.close().catch(() => {})
}

interface AgentsDesks {
  readonly desk: Desk
  readonly signIns?: Desk
}

/**
 * The agent of an owner uses what was let to it; yet a sign-in, which only a person can finish, it begins for the
 * owner. Whoever has come in as somebody less is that already, and cannot stand back.
 */
async function agentsDesks({ reach, as }: Pick<StdioParts, 'reach' | 'as'>): Promise<AgentsDesks> {
  if (as !== undefined) return { desk: (await reach({ as })).desk }
  const [{ desk }, own] = [await reach({ as: AN_AGENT }), await reach({})]
  try {
    await desk.accounts()
  } catch (error) {
    if (error instanceof ValetkeyError && error.code === 'not-allowed') return { desk: own.desk }
  }
  return { desk, signIns: own.desk }
}
