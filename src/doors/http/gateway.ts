import type { IncomingMessage } from 'node:http'
import { type ForwardAnswer, type ForwardRequest, formatAddress, parseAddress, ValetkeyError } from '#client'
import type { Crossing } from '../../model/gateway.ts'
import { HOP_BY_HOP } from '../../model/network.ts'
import { holdsKeyText } from '../../model/valet-key.ts'
import { REFUSAL_HEADER } from './refusals.ts'

/** A path of the gateway, whatever follows. */
export const GATEWAY = '/forward/'

/** What speaks of the client and us. The broker drops what is not the client's to say to a provider. */
const STAYS_OUTSIDE = new Set([
  ...HOP_BY_HOP,
  'authorization',
  'content-length',
  'cookie',
  'dpop',
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
/** Has the credential taken out of the answer, whoever asks. */
const BLIND_HEADER = 'valetkey-blind'

const ROUTE = /^\/forward\/([^/?]*)\/([^/?]*)(?:\/([^?]*))?(\?.*)?$/s
/** Plain http goes no further than this computer, and only where the provider is there. */
const ON_THIS_COMPUTER = /^127\.0\.0\.1:\d{1,5}$/
const OTHER_HOST = /^~\/([a-z0-9.-]+(?::\d{1,5})?)(\/.*)?$/is
const NO_BODY = new Set([101, 204, 205, 304])

/** The request that is to be done, as it is read off the one that came. */
export function readForward(request: Request, address: string): ForwardRequest {
  const bodiless = request.method === 'GET' || request.method === 'HEAD'
  const purpose = request.headers.get(PURPOSE_HEADER)
  const { pathname, search } = new URL(request.url)
  return {
    address,
    method: request.method,
    path: readTarget(pathname + search).path,
    headers: crossing(request.headers),
    body: bodiless ? null : request.body,
    signal: request.signal,
    ...(purpose !== null && { purpose }),
    ...(request.headers.has(BLIND_HEADER) && { blind: true }),
  }
}

/** The same off what Node has read, to the letter. */
export function readCrossing({
  method = 'GET',
  url = '/',
  headers,
}: IncomingMessage): Omit<Crossing, 'body'> {
  const purpose = headers[PURPOSE_HEADER]
  const length = headers['content-length']
  return {
    ...readTarget(url),
    method,
    headers: crossing(entriesOf(headers)),
    ...(length !== undefined && { length: Number(length) }),
    ...(typeof purpose === 'string' && { purpose }),
    ...(headers[BLIND_HEADER] !== undefined && { blind: true }),
  }
}

function entriesOf(headers: IncomingMessage['headers']): [string, string][] {
  return Object.entries(headers).map(([name, value]) => [name, [value ?? []].flat().join(', ')])
}

/** What leads elsewhere than it says, in every spelling that some reader or other takes for it. */
const LEADS_OUT = /(^|\/)(\.|%2e){1,2}(\/|$)|\\/i

/** Which account is meant, and what at its provider. */
function readTarget(target: string): Pick<Crossing, 'address' | 'path'> {
  const [, provider = '', bucket = '', rest = '', search = ''] = ROUTE.exec(target) ?? []
  if (LEADS_OUT.test(`${provider}/${bucket}/${rest}`))
    throw new ValetkeyError('invalid-request', 'the path leads out of the account that it names')
  return { address: writtenAddress(provider, bucket), path: readPath(rest, search) }
}

/** What follows the account: a path at the provider's first host, or `~/<host>/…` for another of its hosts. */
function readPath(rest: string, search: string): string {
  if (!rest.startsWith('~/')) return `/${rest}${search}`
  const [, host, path = '/'] = OTHER_HOST.exec(rest) ?? []
  if (host === undefined)
    throw new ValetkeyError('invalid-request', 'after ~/ the name of a host is expected')
  return `${ON_THIS_COMPUTER.test(host) ? 'http' : 'https'}://${host}${path}${search}`
}

/** What is no address is for the broker to refuse, so that it is on record. */
export function writtenAddress(provider: string, bucket: string): string {
  const written = [provider, bucket].map(unescaped).join('/')
  const address = parseAddress(written)
  return address === undefined ? written : formatAddress(address)
}

function unescaped(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** A browser says what it will do with an answer; ours are never shown, run or framed. */
export function refusePages(destination: string | undefined): void {
  if (destination === undefined || destination === 'empty') return
  throw new ValetkeyError('not-allowed', 'what is forwarded is never shown as a page', {
    hint: 'use fetch',
  })
}

type Pairs = Iterable<readonly [string, string]>

function crossing(headers: Pairs): Record<string, string> {
  const all = [...headers]
  const [, connection = ''] = all.find(([name]) => name === 'connection') ?? []
  const named = new Set(connectionOptions(connection))
  return Object.fromEntries(
    all.filter(
      ([name, value]) =>
        !STAYS_OUTSIDE.has(name) &&
        !named.has(name) &&
        !holdsKeyText(value) &&
        !STAYS_OUTSIDE_PREFIXES.some((prefix) => name.startsWith(prefix)),
    ),
  )
}

function connectionOptions(connection: string): string[] {
  return connection.split(',').map((option) => option.trim().toLowerCase())
}

/** The provider's answer on our origin, where it is neither a page nor a script of ours. */
export function printForward(answer: ForwardAnswer, abandon?: () => void): Response {
  const headers = new Headers()
  for (const [name, value] of printHead(answer.headers))
    if (name !== 'content-length') headers.append(name, value)
  const body = NO_BODY.has(answer.status) || answer.body === null ? null : unbroken(answer.body, abandon)
  return new Response(body, { status: answer.status, headers })
}

/** What of an answer's head crosses, and what we say beside it. */
export function printHead(headers: Pairs): [string, string][] {
  const crossing: [string, string][] = []
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    if (STAYS_INSIDE.has(lower) || lower.startsWith('access-control-')) continue
    if (lower === 'www-authenticate' && !isForPrograms(value)) continue
    if (lower !== 'x-content-type-options') crossing.push([lower, value])
  }
  return [...crossing, ['x-content-type-options', 'nosniff'], ['content-security-policy', 'sandbox']]
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
