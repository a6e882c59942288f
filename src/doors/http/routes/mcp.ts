import { ValetkeyError } from '#client'
import { AN_AGENT, type Caller, isOwner } from '../../../model/caller.ts'
import { type Identifying, standBack } from '../caller.ts'
import { refuse } from '../refusals.ts'
import type { App, DoorEnv } from './route.ts'

const MCP_PATH = '/mcp'
/** RFC 9728 §3.1: the well-known part goes before the path. */
const METADATA_PATH = `/.well-known/oauth-protected-resource${MCP_PATH}`

/** Who uses the tools, and for whom a sign-in is begun: for the owner, where it is the owner's own agent. */
export interface McpCallers {
  readonly caller: Caller
  readonly signingIn: Caller
}

export interface McpMount {
  answer(request: Request, callers: McpCallers, closing?: AbortSignal): Promise<Response>
}

/** Valetkey's own tools over streamable HTTP, and what there is to know of the place beforehand. */
export function mcpRoutes(app: App, { identify }: Identifying, mount: McpMount): void {
  app.get(METADATA_PATH, (c) => c.json(metadataOf(new URL(c.req.url).origin)))

  app.all(MCP_PATH, async (c) => {
    const caller = await identified(identify, c.req.raw, c.env ?? {})
    return caller === undefined
      ? challenge(c.req.raw)
      : mount.answer(c.req.raw, callersOf(caller, c.req.header('valetkey-as')), c.env?.closing)
  })
}

/** A cookie is for the page: nobody who has only that is somebody here. */
async function identified(identify: Identifying['identify'], request: Request, env: DoorEnv) {
  const caller = await identify(request, env)
  return caller?.proof.door === 'page' ? undefined : caller
}

function callersOf(proved: Caller, as: string | undefined): McpCallers {
  const caller = standBack(proved, as ?? (isOwner(proved) ? AN_AGENT : undefined))
  return { caller, signingIn: as === undefined ? proved : caller }
}

/**
 * RFC 9728. The keys that are shown here are cut by the owner with `valetkey keys cut`: there is no
 * authorization server that would issue one, and so none is named.
 */
function metadataOf(origin: string): Readonly<Record<string, unknown>> {
  return {
    resource: origin + MCP_PATH,
    resource_name: 'Valetkey',
    bearer_methods_supported: ['header'],
  }
}

function challenge(request: Request): Response {
  const { origin } = new URL(request.url)
  const shown = /^bearer /i.test(request.headers.get('authorization') ?? '')
  const refusal = refuse(
    new ValetkeyError('unauthenticated', shown ? 'this key opens nothing here' : 'nobody is signed in here', {
      hint: 'valetkey keys cut agent --allow github:forward; it is sent as Authorization: Bearer',
    }),
  )
  const parameters = [
    `resource_metadata="${origin}${METADATA_PATH}"`,
    ...(shown ? ['error="invalid_token"'] : []),
  ]
  refusal.headers.set('www-authenticate', `Bearer ${parameters.join(', ')}`)
  return refusal
}
