import { type ErrorCode, type ForwardAnswer, type ForwardRequest, readPurpose, ValetkeyError } from '#client'
import type { Caller } from '../model/caller.ts'
import type { Passage } from '../model/gate.ts'
import { HOP_BY_HOP } from '../model/network.ts'
import type { Destination, Presentation } from '../model/provider.ts'
import type { AccountRow } from '../model/storage.ts'
import { wear } from '../protocol/presentation.ts'
import { addressOf } from './accounts.ts'
import { takeBack } from './forwarding/openings.ts'
import { RETRY_HEADER, type Send, type Sent, sendTwice } from './forwarding/sending.ts'
import type { Stream } from './forwarding/streams.ts'
import type { Whole } from './grants.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import { freshWhole } from './refresh.ts'
import { findProvider, signInOf } from './sign-ins/sign-ins.ts'

const NOT_PASSED_ON = new Set([
  ...HOP_BY_HOP,
  'host',
  'content-length',
  'cookie',
  'authorization',
  'x-api-key',
  'expect',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'origin',
  'referer',
])
/** Cookies are the provider's and ours; `refresh` would have a browser leave for another address. */
const NOT_PASSED_BACK = new Set([...HOP_BY_HOP, 'set-cookie', 'set-cookie2', 'refresh'])

/** Where these are thrown nothing has come to the provider. */
const NOT_SENT: readonly ErrorCode[] = [
  'invalid-request',
  'host-not-allowed',
  'certificate-pin',
  'network-error',
  'connect-timeout',
]

/** Does the request on the caller's behalf. The credential goes to the provider's own hosts, and to nobody else. */
export async function forward(kit: Kit, caller: Caller, request: ForwardRequest): Promise<ForwardAnswer> {
  const passage = await kit.gate.pass(caller, 'forward', { address: request.address })
  const stream = streamOf(kit, caller, passage)
  try {
    const purpose = () => readPurpose(request.purpose)
    const { answer, retry } = await behind(
      passage,
      async () => {
        const whole = await freshWhole(kit, accountOf(passage, request.address))
        return onLease(kit, caller, { whole, purpose: purpose(), request, stream })
      },
      (sent) => inWords(request.method, sent, purpose()),
    )
    const told = retry === undefined ? [] : [[RETRY_HEADER, retry] as const]
    return {
      status: answer.status,
      headers: [...undress(answer.headers), ...told],
      body: stream.carry(answer.body),
    }
  } catch (error) {
    stream.end(error)
    throw error
  }
}

function streamOf(kit: Kit, { owner, id: caller }: Caller, { account }: Passage): Stream {
  return kit.streams.open({ owner, caller, accountId: account?.id ?? '' })
}

interface Leased extends Sent {
  /** The lease's id. */
  readonly lease: string
}

interface Forwarding {
  readonly whole: Whole
  readonly purpose: string | null
  readonly request: ForwardRequest
  readonly stream: Stream
}

/** A request is judged before it is on a lease, and sent after. */
async function onLease(
  kit: Kit,
  caller: Caller,
  { whole, purpose, request, stream }: Forwarding,
): Promise<Leased> {
  const { account, credential } = whole
  const { method, body, signal } = request
  const ends = signal === undefined ? stream.signal : AbortSignal.any([signal, stream.signal])
  const scopes = credential.wornScopes ?? credential.scopes
  const opening = { account, caller: caller.id, verb: 'forward', purpose, scopes, dies: null } as const
  dressed(kit, whole, request)
  const lease = await kit.openings(opening)
  stream.belongsTo(lease.id)
  let sent = false
  const send: Send = async (wearing, body) => {
    const { url, headers } = dressed(kit, wearing, request)
    const answer = await kit.network.fetch(url, { method, headers, body: body ?? null, signal: ends })
    sent = true
    return answer
  }
  const answered = await sendTwice(kit, whole, body, send).catch(async (error: unknown) => {
    if (!sent && isNotSent(error)) await takeBack(kit, lease, opening)
    throw error
  })
  stream.signal.throwIfAborted()
  return { ...answered, lease: lease.id }
}

function isNotSent(error: unknown): boolean {
  return error instanceof ValetkeyError && NOT_SENT.includes(error.code)
}

/** Where the request goes, and its headers with the credential among them. */
function dressed(kit: Kit, { account, credential, profile }: Whole, { path, headers = {} }: ForwardRequest) {
  const provider = findProvider(kit, account.provider)
  const url = judge(account, kit.catalogue.destination(provider, profile.vars), path)
  const { present } = signInOf(kit, provider, account.flow)
  const worn = Object.fromEntries(wear(present, {}, credential))
  return { url, headers: { ...provider.headers, ...withoutOurs(headers, present), ...worn } }
}

function inWords(method: string, { answer, renewed, retry, lease }: Leased, purpose: string | null): string {
  const how = retry ?? (renewed ? 'renewed' : [])
  const what = [`${method} ${answer.status}`, how].flat().join(', ')
  return `${what}${purpose === null ? '' : ` (${purpose})`}, ${lease}`
}

/** Judges the URL that will be sent, not the text that asked for it. */
function judge(account: AccountRow, { base, own, origins, place }: Destination, path: string): URL {
  const asked = URL.parse(path, base.href)
  const bare = asked !== null && asked.username === '' && asked.password === ''
  const url = bare && own.includes(asked.origin) ? place(asked) : asked
  if (bare && url !== null && origins.includes(url.origin)) return url
  const message = `the credential of ${addressOf(account)} may not go to this address`
  throw new ValetkeyError('host-not-allowed', message, { hint: `it goes to ${origins.join(', ')}` })
}

/** What the caller asked to send, without what is ours to say and what this provider knows credentials by. */
function withoutOurs(
  headers: Readonly<Record<string, string>>,
  present: readonly Presentation[],
): Record<string, string> {
  const worn = present.flatMap((way) => ('header' in way ? way.header : []))
  const named = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  return Object.fromEntries(
    named.filter(([name]) => !NOT_PASSED_ON.has(name) && !isOurs(name) && !worn.includes(name)),
  )
}

function undress(headers: Headers): ForwardAnswer['headers'] {
  return [...headers].filter(([name]) => !NOT_PASSED_BACK.has(name) && !isOurs(name))
}

/** What a caller says to us, and what we say to a caller. */
function isOurs(header: string): boolean {
  return header.startsWith('valetkey-')
}
