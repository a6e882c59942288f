import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { Network } from '../model/network.ts'
import { type Answer, ask, refuseTrouble } from './ask.ts'
import { bearerChallenge, type Challenge, readChallenges } from './challenge.ts'
import { isScope } from './scopes.ts'
import { isSafe } from './server.ts'
import { strictObject } from './strict-json.ts'

const WELL_KNOWN = '/.well-known/oauth-protected-resource'
const MOST_SCOPES = 100
const ASK_SECONDS = 20

/** What of RFC 9728 is read at all. */
const documentSchema = z.object({
  resource: z.string(),
  authorization_servers: z.array(z.string()).default([]),
  scopes_supported: z.array(z.string()).optional(),
  dpop_bound_access_tokens_required: z.boolean().default(false),
})

/** A resource that says by whose tokens it is reached. */
export interface ProtectedResource {
  /** As it names itself, which is what a token is asked for. */
  readonly resource: string
  /** Of its authorization servers the one that is known already, or else its first. */
  readonly issuer: string
  /** What it asks for: the scopes of its challenge, else all that it knows, else none. */
  readonly scopes: readonly string[]
  /** It takes no tokens but those that are bound to a key (RFC 9449). */
  readonly dpop: boolean
}

interface Lately {
  readonly now: () => Date
  /** The issuer that was found before. */
  readonly known?: string | undefined
}

/** The smallest thing that an MCP server can be asked; who is not signed in gets a challenge for it. */
const HELLO = JSON.stringify({
  jsonrpc: '2.0',
  id: 'hello',
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'valetkey', version: '1' },
  },
})

/**
 * Asks an MCP server how it is signed in to: the metadata that its challenge names, else those at their
 * well-known places. Throws `provider-not-configured` where it does not say, in words of what was found.
 */
export async function askResource(network: Network, url: URL, lately: Lately): Promise<ProtectedResource> {
  const answer = await greeted(network, url, lately)
  const challenge = answer.status === 401 ? bearerChallenge(answer.challenge) : undefined
  const document = await metadataOf(network, url, challenge, lately)
  if (document === undefined) throw notProtected(url, answer)
  const judged = judgeDocument(url, document, challenge, lately.known)
  return { ...judged, dpop: judged.dpop || takesOnlyProofs(answer) }
}

async function greeted(network: Network, url: URL, { now }: Lately): Promise<Answer> {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'user-agent': 'valetkey',
  }
  const answer = await ask(
    network,
    url,
    { method: 'POST', headers, body: HELLO },
    { now, seconds: ASK_SECONDS },
  )
  if (answer.status >= 500 || answer.status === 429) refuseTrouble(answer)
  return answer
}

/** Where its metadata may be, and the name it must then have: RFC 9728 §3.1 and §3.3. */
interface Place {
  readonly at: URL
  readonly names: readonly string[]
}

/** The one that is named, or the well-known ones, the most exact first. */
function placesOf(url: URL, challenge: Challenge | undefined): readonly Place[] {
  const said = challenge?.params.get('resource_metadata')
  const whole = nameOf(url)
  if (said !== undefined) {
    if (!isSafe(said)) throw refused(url, 'it names metadata that are not reached over https')
    const at = new URL(said)
    return [{ at, names: [whole, ...impliedBy(at, url)] }]
  }
  const path = url.pathname.replace(/\/$/, '')
  const exact = new URL(`${WELL_KNOWN}${path}${url.search}`, url)
  const root = new URL(WELL_KNOWN, url)
  return path === ''
    ? [{ at: root, names: [whole] }]
    : [
        { at: exact, names: [whole] },
        { at: root, names: [nameOf(new URL(url.origin))] },
      ]
}

/** Whose metadata stand at a well-known place of the server's own origin, on the way to the server. */
function impliedBy(at: URL, url: URL): readonly string[] {
  if (at.origin !== url.origin || !at.pathname.startsWith(WELL_KNOWN)) return []
  const path = at.pathname.slice(WELL_KNOWN.length)
  const isOnTheWay = path === '' || url.pathname === path || url.pathname.startsWith(`${path}/`)
  return isOnTheWay ? [nameOf(new URL(path || '/', url))] : []
}

async function metadataOf(
  network: Network,
  url: URL,
  challenge: Challenge | undefined,
  { now }: Lately,
): Promise<Said | undefined> {
  const places = placesOf(url, challenge)
  for (const { at, names } of places) {
    const answer = await ask(network, at, {}, { now, seconds: ASK_SECONDS })
    if (answer.status >= 500 || answer.status === 429) refuseTrouble(answer)
    if (answer.status !== 200 || answer.type !== 'application/json') continue
    const read = documentSchema.safeParse(strictObject(answer.text))
    if (!read.success)
      throw refused(url, `its metadata have no usable ${read.error.issues[0]?.path.join('.')}`)
    if (!names.includes(nameOf(URL.parse(read.data.resource))))
      throw refused(url, 'its metadata are those of another resource')
    return read.data
  }
  if (challenge?.params.has('resource_metadata'))
    throw refused(url, 'it names metadata, and there are none in that place')
  return undefined
}

type Said = z.infer<typeof documentSchema>

function judgeDocument(
  url: URL,
  {
    resource,
    authorization_servers: servers,
    scopes_supported: supported = [],
    dpop_bound_access_tokens_required: dpop,
  }: Said,
  challenge: Challenge | undefined,
  known: string | undefined,
): ProtectedResource {
  const issuer = servers.find((one) => one === known) ?? servers[0]
  if (issuer === undefined) throw refused(url, 'its metadata name no authorization server')
  if (!isSafe(issuer)) throw refused(url, 'its authorization server is not reached over https')
  const scopes = challengedScopes(challenge) ?? scopesIn(supported)
  return { resource, issuer, scopes, dpop }
}

/** RFC 9449 §7.1: what challenges for a proof alone takes no plain bearer token. */
function takesOnlyProofs({ status, challenge }: Answer): boolean {
  const schemes = status === 401 ? readChallenges(challenge).map(({ scheme }) => scheme) : []
  return schemes.includes('dpop') && !schemes.includes('bearer')
}

/** What a challenge asks for; undefined where it asks for nothing by name. */
export function challengedScopes(challenge: Challenge | undefined): readonly string[] | undefined {
  const said = challenge?.params.get('scope')?.split(' ')
  const scopes = scopesIn(said ?? [])
  return scopes.length > 0 ? scopes : undefined
}

function scopesIn(words: readonly string[]): readonly string[] {
  return [...new Set(words)].filter(isScope).slice(0, MOST_SCOPES)
}

/** Without what makes no difference: a slash at the end. Empty for what names nothing. */
function nameOf(url: URL | null): string {
  if (url === null || url.username + url.password + url.hash !== '') return ''
  return url.origin + url.pathname.replace(/\/$/, '') + url.search
}

function notProtected({ host }: URL, answer: Answer): ValetkeyError {
  const [found, hint] = foundThere(answer)
  return new ValetkeyError(
    'provider-not-configured',
    `${host} cannot be connected by its address: ${found}`,
    {
      hint,
    },
  )
}

/** What it is instead, and what to do about it. */
function foundThere({ status, type, text }: Answer): readonly [found: string, hint: string] {
  if (status === 401 || status === 403)
    return [
      `it answers ${status} and does not say where one signs in`,
      'if it takes a key, describe it in a provider file of your own, with mcp and the flow api-key',
    ]
  if (isRpc(text))
    return [
      'it is an MCP server that asks for no sign-in',
      'give its address to the program itself; there is nothing to keep',
    ]
  return [
    `it answers ${status}${isType(type) ? ` with ${type}` : ''}, which is no MCP server`,
    'give the address of the MCP server itself, such as https://mcp.example.com/mcp',
  ]
}

function isType(text: string): boolean {
  return /^[a-z0-9.+-]{1,40}\/[a-z0-9.+-]{1,40}$/.test(text)
}

/** The answer of an MCP server, as it is or as the first message of a stream. */
function isRpc(text: string): boolean {
  const [, data = text] = /^data:(.*)$/m.exec(text) ?? []
  return /^\s*\{/.test(data) && /"jsonrpc"\s*:\s*"2\.0"/.test(data)
}

function refused({ host }: URL, why: string): ValetkeyError {
  return new ValetkeyError('provider-not-configured', `${host} cannot be signed in to: ${why}`, {
    hint: 'whoever runs that server has to mend its metadata',
  })
}
