import { once } from 'node:events'
import { type Duplex, Readable, type Writable } from 'node:stream'
import { type ErrorCode, readPurpose, ValetkeyError } from '#client'
import type { Caller } from '../model/caller.ts'
import type { Passage } from '../model/gate.ts'
import type { Crossing, Taker } from '../model/gateway.ts'
import type { AnswerHead } from '../model/network.ts'
import { blindFrames } from './forwarding/blind-frames.ts'
import { blinds, isText, mayNotSee, refuseUnreadable, unpacked, unpacking } from './forwarding/blinds.ts'
import { ask } from './forwarding/coming.ts'
import { codingsOf } from './forwarding/decoding.ts'
import { type Dressed, dressed, undress } from './forwarding/dress.ts'
import { join } from './forwarding/join.ts'
import { wholeOf } from './forwarding/kept-body.ts'
import { takeBack } from './forwarding/openings.ts'
import { RETRY_HEADER, type Send, type Sent, sendTwice } from './forwarding/sending.ts'
import type { Stream } from './forwarding/streams.ts'
import type { Whole } from './grants.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import { holdTo } from './limits.ts'
import { heeded } from './mcp/challenges.ts'
import { freshWhole } from './refresh.ts'

/** Where these are thrown nothing has come to the provider. */
const NOT_SENT: readonly ErrorCode[] = [
  'invalid-request',
  'host-not-allowed',
  'certificate-pin',
  'network-error',
  'connect-timeout',
]

/** What cannot be read cannot be judged. */
const UNPACKED = { 'accept-encoding': 'identity' }
const PACKING: ReadonlySet<string> = new Set(['sec-websocket-extensions', 'accept-charset', 'a-im'])

/** Of a WebSocket it is known where its messages lie; of what else there may be, nothing. */
function refuseUnreadableProtocol({ upgrade = 'websocket' }: Crossing): void {
  if (upgrade.toLowerCase() === 'websocket') return
  throw new ValetkeyError(
    'not-allowed',
    'what is said in this protocol cannot be kept free of the credential',
    {
      hint: 'a WebSocket can; or ask the owner to be lent the credential',
    },
  )
}

/** What is asked, by whom, and that it is under way. */
interface Forwarding {
  readonly kit: Kit
  readonly caller: Caller
  readonly passage: Passage
  readonly crossing: Crossing
  readonly stream: Stream
}

interface Leased extends Sent {
  /** The lease's id. */
  readonly lease: string
  /** All that was worn, the last of it last. */
  readonly worn: readonly Whole[]
}

/** Does the request on the caller's behalf. The credential goes to the provider's own hosts, and to nobody else. */
export async function forward(kit: Kit, caller: Caller, crossing: Crossing, taker: Taker): Promise<void> {
  const { address, purpose, signal } = crossing
  const passage = await kit.gate.pass(caller, 'forward', { address, purpose })
  const { owner, id } = caller
  const stream = kit.streams.open({ owner, caller: id, accountId: passage.account?.id ?? '' })
  signal?.addEventListener('abort', () => stream.end(signal.reason), { once: true })
  if (signal?.aborted) stream.end(signal.reason)
  try {
    const forwarding = { kit, caller, passage, crossing, stream }
    const leased = await behind(
      passage,
      async () => onLease(forwarding, await freshWhole(kit, accountOf(passage, address))),
      (sent) => inWords(crossing.method, sent, readPurpose(crossing.purpose)),
    )
    await handOver(forwarding, leased, taker)
    stream.end()
  } catch (error) {
    stream.end(error)
    throw error
  }
}

/** A request is judged before it is on a lease, and sent after. */
async function onLease(forwarding: Forwarding, whole: Whole): Promise<Leased> {
  const { kit, caller, passage, crossing, stream } = forwarding
  const { account, credential } = whole
  const purpose = readPurpose(crossing.purpose)
  const scopes = credential.wornScopes ?? credential.scopes
  const opening = { account, caller: caller.id, verb: 'forward', purpose, scopes, dies: null } as const
  const first = dressed(kit, whole, crossing)
  const isBlind = crossing.blind || mayNotSee(caller, passage, whole)
  if (isBlind) refuseUnreadableProtocol(crossing)
  const giveBack = await holdTo(kit, caller, passage, 'forward', first.asked)
  const lease = await kit.openings(opening)
  stream.belongsTo(lease.id)
  const worn: Whole[] = []
  let sent = false
  const send: Send = async (wearing, body) => {
    if (worn.at(-1) !== wearing) worn.push(wearing)
    const { url, headers, proofs, certificate } = wearing === whole ? first : dressed(kit, wearing, crossing)
    const proved = proofs && Object.fromEntries(await proofs.prove(body))
    const more = { ...proved, ...(isBlind && UNPACKED), ...lengthOf(body, crossing.length) }
    const answer = await ask(kit.network, url, {
      method: crossing.method,
      headers: Object.entries({ ...headers, ...more }).filter(([name]) => !(isBlind && PACKING.has(name))),
      body,
      signal: stream.signal,
      protocol: crossing.upgrade,
      certificate,
    })
    sent = true
    return proofs === undefined ? answer : { ...answer, again: await proofs.heed(answer) }
  }
  const answered = await sendAll(forwarding, { whole, first, send }).catch(async (error: unknown) => {
    if (!sent && isNotSent(error)) await Promise.all([takeBack(kit, lease, opening), giveBack()])
    throw error
  })
  stream.signal.throwIfAborted()
  return { ...(await heeded(kit, whole, answered)), lease: lease.id, worn }
}

interface ToSend {
  readonly whole: Whole
  readonly first: Dressed
  readonly send: Send
}

/** What is signed with its body is sent once all of that is there. */
async function sendAll({ kit, crossing, stream }: Forwarding, { whole, first, send }: ToSend): Promise<Sent> {
  const { proofs } = first
  const asked = crossing.body ?? null
  const body = proofs?.needsBody ? await wholeOf(asked, stream.signal) : asked
  return sendTwice(kit, whole, { body, mayProveAgain: proofs !== undefined }, send)
}

/** A body that is sent as it comes is as long as was said; every other is counted by who sends it. */
function lengthOf(body: Crossing['body'], length: number | undefined): Record<string, string> {
  return body instanceof Readable && length !== undefined ? { 'content-length': String(length) } : {}
}

/** The answer goes to the caller, without what the caller may not see of it. */
async function handOver(
  forwarding: Forwarding,
  { answer, retry, worn }: Leased,
  taker: Taker,
): Promise<void> {
  const { caller, passage, crossing, stream } = forwarding
  const told = retry === undefined ? [] : [[RETRY_HEADER, retry] as const]
  const said = { status: answer.status, headers: [...undress(answer.headers), ...told] }
  const [whole] = worn
  const isBlind = whole && (crossing.blind || mayNotSee(caller, passage, whole))
  const blind = isBlind ? blinds(forwarding.kit, worn) : undefined
  const head = blind?.head(said) ?? said
  if (answer.socket !== undefined)
    return join(answer.socket, takenBy(taker, head), stream.signal, blind && blindFrames(blind))
  const scrub = blind && !isBodiless(crossing, said) && isText(said) ? blind.scrub() : undefined
  if (scrub === undefined) return answer.into(cutBy(stream, taker.answer(head)))
  refuseUnreadable(said)
  const target = cutBy(stream, taker.answer(unpacked(head)))
  if (codingsOf(said).length === 0) return answer.into(target, scrub)
  const gone = once(target, 'close')
  await Promise.all([answer.into(unpacking(said, target, scrub)), gone])
}

/** Once it is cut it ends at once, whatever becomes of its source. */
function cutBy({ signal }: Stream, target: Writable): Writable {
  signal.addEventListener('abort', () => target.destroy(), { once: true })
  return target
}

function isBodiless({ method }: Crossing, { status }: AnswerHead): boolean {
  return method === 'HEAD' || status === 204 || status === 304
}

function takenBy(taker: Taker, head: AnswerHead): Duplex {
  const client = taker.switched?.(head)
  if (client !== undefined) return client
  throw new ValetkeyError('bad-answer', 'the provider goes on in another protocol, which nobody asked for')
}

function isNotSent(error: unknown): boolean {
  return error instanceof ValetkeyError && NOT_SENT.includes(error.code)
}

function inWords(method: string, { answer, renewed, retry, lease }: Leased, purpose: string | null): string {
  const how = retry ?? (renewed ? 'renewed' : [])
  const what = [`${method} ${answer.status}`, how].flat().join(', ')
  return `${what}${purpose === null ? '' : ` (${purpose})`}, ${lease}`
}
