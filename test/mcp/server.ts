import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { type AuthInfo, createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { z } from 'zod'
import {
  type AuthorizationServer,
  close,
  listen,
  openAuthorizationServer,
  SCOPES,
} from './authorization-server.ts'

/** A real MCP server that is signed in to with OAuth, with its authorization server beside it. */
export interface NotesServer {
  readonly url: URL
  readonly authorization: AuthorizationServer
  /** The authorization headers that came with requests it served or refused. */
  readonly shown: string[]
  /** Another server issues the tokens from now on; those of the one before are refused. */
  moveTo(next: AuthorizationServer): void
  close(): Promise<void>
}

export interface NotesOptions {
  readonly path?: string
  /** What its challenge says besides where its metadata are; an empty one says nothing at all. */
  readonly challenge?: 'metadata' | 'scope' | 'nothing'
  /** It refuses what takes more scopes, whatever was granted. */
  readonly neverEnough?: boolean
}

const METADATA = '/.well-known/oauth-protected-resource'

export async function openNotesServer({
  path = '/mcp',
  challenge = 'metadata',
  neverEnough = false,
}: NotesOptions = {}): Promise<NotesServer> {
  const first = await openAuthorizationServer()
  let authorization = first
  const server = createServer()
  const origin = await listen(server)
  const url = new URL(path, origin)
  const shown: string[] = []
  const handler = createMcpHandler(({ authInfo }) => notes(authInfo))

  async function answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url)
    if (pathname === `${METADATA}${path === '/' ? '' : path}`) return metadata()
    if (pathname !== path) return new Response('nothing here', { status: 404 })
    const header = request.headers.get('authorization') ?? ''
    shown.push(header)
    const authInfo = await readToken(header)
    if (authInfo === undefined)
      return refusal(401, 'invalid_token', challenge === 'scope' ? SCOPES[0] : undefined)
    const body: unknown = request.method === 'POST' ? await request.clone().json() : undefined
    if (isWriting(body) && (neverEnough || !authInfo.scopes.includes(SCOPES[1])))
      return refusal(403, 'insufficient_scope', SCOPES[1])
    return handler.fetch(request, { authInfo })
  }

  function metadata(): Response {
    const { issuer } = authorization
    return Response.json({
      resource: url.href,
      authorization_servers: [issuer],
      scopes_supported: [SCOPES[0]],
    })
  }

  function refusal(status: number, error: string, scope: string | undefined): Response {
    const parts = [
      `error="${error}"`,
      ...(scope === undefined ? [] : [`scope="${scope}"`]),
      `resource_metadata="${new URL(METADATA + (path === '/' ? '' : path), origin).href}"`,
    ]
    const headers = challenge === 'nothing' ? {} : { 'www-authenticate': `Bearer ${parts.join(', ')}` }
    return Response.json({ error }, { status, headers })
  }

  async function readToken(header: string): Promise<AuthInfo | undefined> {
    const token = /^Bearer (.+)$/.exec(header)?.[1] ?? ''
    const { issuer, jwks } = authorization
    const checks = { issuer, audience: url.href, clockTolerance: 0 }
    const read = await jwtVerify(token, createLocalJWKSet(jwks as JSONWebKeySet), checks).catch(
      () => undefined,
    )
    if (read === undefined) return undefined
    const { client_id: clientId, scope = '', sub } = read.payload
    return { token, clientId: String(clientId), scopes: String(scope).split(' '), extra: { sub } }
  }

  server.on('request', getRequestListener(answer, { overrideGlobalObjects: false }))
  return {
    url,
    get authorization() {
      return authorization
    },
    shown,
    moveTo(next) {
      authorization = next
    },
    async close() {
      await handler.close()
      await close(server)
      await first.close()
    },
  }
}

function isWriting(body: unknown): boolean {
  return JSON.stringify(body ?? {}).includes('"add-note"')
}

function notes(authInfo: AuthInfo | undefined): McpServer {
  const server = new McpServer({ name: 'notes', version: '1.0.0' })
  const text = (words: string) => ({ content: [{ type: 'text' as const, text: words }] })
  server.registerTool('whoami', { description: 'says whose notes these are' }, () =>
    text(String(authInfo?.extra?.['sub'])),
  )
  server.registerTool(
    'add-note',
    { description: 'adds a note', inputSchema: z.object({ note: z.string() }) },
    ({ note }) => text(`noted: ${note}`),
  )
  return server
}
