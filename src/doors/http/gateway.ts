import { type ForwardAnswer, type ForwardRequest, ValetkeyError } from '#client'
import { HOP_BY_HOP } from '../../model/network.ts'
import { REFUSAL_HEADER } from './refusals.ts'

/** What speaks of the client and us. The broker drops what is not the client's to say to a provider. */
const STAYS_OUTSIDE = new Set([
  ...HOP_BY_HOP,
  'authorization',
  'content-length',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'origin',
  'referer',
  'x-client-cert',
  'x-real-ip',
])
const STAYS_OUTSIDE_PREFIXES = ['sec-', 'valetkey-', 'x-forwarded-', 'x-ssl-client-']

/** An upstream answer never acts on our own origin: no cookies, no permissions, nothing wiped, nothing reported. */
const STAYS_INSIDE = new Set([
  ...HOP_BY_HOP,
  'alt-svc',
  'clear-site-data',
  'content-length',
  'content-security-policy',
  'nel',
  'report-to',
  'reporting-endpoints',
  'service-worker-allowed',
  'set-cookie',
  'set-cookie2',
  REFUSAL_HEADER,
])

/** Says what a request is for. It is for us alone. */
const PURPOSE_HEADER = 'valetkey-purpose'

const ROUTE = /^\/forward\/[^/]+\/[^/]+\/(.*)$/s
const OTHER_HOST = /^~\/([a-z0-9.-]+(?::\d{1,5})?)(\/.*)?$/is
const NO_BODY = new Set([101, 204, 205, 304])

/** The request that is to be done, as it is read off the one that came. */
export function readForward(request: Request, address: string): ForwardRequest {
  const bodiless = request.method === 'GET' || request.method === 'HEAD'
  const purpose = request.headers.get(PURPOSE_HEADER)
  return {
    address,
    method: request.method,
    path: readPath(new URL(request.url)),
    headers: crossing(request.headers),
    body: bodiless ? null : request.body,
    signal: request.signal,
    ...(purpose !== null && { purpose }),
  }
}

/** What follows the account: a path at the provider's first host, or `~/<host>/…` for another of its hosts. */
function readPath({ pathname, search }: URL): string {
  const rest = ROUTE.exec(pathname)?.[1] ?? ''
  if (!rest.startsWith('~/')) return `/${rest}${search}`
  const [, host, path = '/'] = OTHER_HOST.exec(rest) ?? []
  if (host === undefined)
    throw new ValetkeyError('invalid-request', 'after ~/ the name of a host is expected')
  return `https://${host}${path}${search}`
}

function crossing(headers: Headers): Record<string, string> {
  const named = new Set(connectionOptions(headers.get('connection')))
  return Object.fromEntries(
    [...headers].filter(
      ([name]) =>
        !STAYS_OUTSIDE.has(name) &&
        !named.has(name) &&
        !STAYS_OUTSIDE_PREFIXES.some((prefix) => name.startsWith(prefix)),
    ),
  )
}

function connectionOptions(connection: string | null): string[] {
  return (connection ?? '').split(',').map((option) => option.trim().toLowerCase())
}

/** The provider's answer on our origin, where it is neither a page nor a script of ours. */
export function printForward(answer: ForwardAnswer, abandon?: () => void): Response {
  const headers = new Headers()
  for (const [name, value] of answer.headers) {
    const lower = name.toLowerCase()
    if (STAYS_INSIDE.has(lower) || lower.startsWith('access-control-')) continue
    if (lower === 'www-authenticate' && !isForPrograms(value)) continue
    headers.append(name, value)
  }
  headers.set('x-content-type-options', 'nosniff')
  headers.set('content-security-policy', 'sandbox')
  const body = NO_BODY.has(answer.status) || answer.body === null ? null : unbroken(answer.body, abandon)
  return new Response(body, { status: answer.status, headers })
}

const PARAMETER = /^[\w!#$%&'*+.^`|~-]+\s*=/
const IN_QUOTES = /"(?:[^"\\]|\\.)*"/g

/**
 * A program needs the challenges of OAuth: they say why a token was not good, and where to ask for another.
 * A browser knows nothing of these, but at any other it would open a box of its own and ask, in our name,
 * for a password that it then sends to us. So a header with another one stays inside, whole.
 */
function isForPrograms(challenges: string): boolean {
  const bare = challenges.replaceAll(IN_QUOTES, '')
  const schemes = bare
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && !PARAMETER.test(part))
  return !bare.includes('"') && schemes.every((scheme) => /^(bearer|dpop)(\s|$)/i.test(scheme))
}

/** A body that breaks off takes its connection along, instead of ending like a whole one. */
function unbroken(body: ReadableStream<Uint8Array>, abandon?: () => void): ReadableStream<Uint8Array> {
  if (abandon === undefined) return body
  const reader = body.getReader()
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (done) controller.close()
        else controller.enqueue(value)
      } catch {
        abandon()
        controller.close()
      }
    },
    cancel: (reason) => reader.cancel(reason),
  })
}
