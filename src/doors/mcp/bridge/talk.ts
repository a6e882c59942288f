import { isRefusal, refusalOf, type ValetkeyError } from '#client'
import type { RequestHeaders } from './headers.ts'
import { answeredBy, type Id, type Message, readLine } from './messages.ts'
import { upstreamError } from './refusals.ts'
import { agreedIn, type Session } from './session.ts'

export interface UpstreamOptions {
  readonly address: string
  /** Sends it to the server, with the account's credential. */
  fetch(init: RequestInit): Promise<Response>
  /** Takes a line for the client, when it has room for it. */
  emit(line: string): Promise<void>
  /** Over with everything. */
  readonly ended: AbortSignal
}

/** A conversation with a server, as the parts of a bridge share it. */
export interface Talk extends UpstreamOptions {
  readonly headers: RequestHeaders
  session: Session
}

/** Takes a line for the client, or keeps it. */
export type Tell = (line: string) => Promise<void>

/** Hands a message on, and takes what it answers from what is open. False where it is none. */
export async function hand(
  talk: Talk,
  text: string,
  open: Set<Id>,
  tell: Tell = talk.emit,
): Promise<boolean> {
  const messages = readLine(text)
  if (messages?.some(({ jsonrpc }) => jsonrpc === '2.0') !== true) return false
  const nameless = namelessly(messages, open)
  if (nameless !== undefined) {
    open.clear()
    await tell(JSON.stringify(nameless))
    return true
  }
  for (const message of messages) hear(talk, message, open)
  await tell(text.replaceAll(/[\r\n]+/g, ' ').trim())
  return true
}

/** What could not be understood is answered without an id; there is one whose it is, where one alone is open. */
function namelessly([first]: readonly Message[], open: ReadonlySet<Id>): Message | undefined {
  const [only] = open
  return first?.['id'] === null && open.size === 1 ? { ...first, id: only } : undefined
}

function hear(talk: Talk, message: Message, open: Set<Id>): void {
  const id = answeredBy(message)
  if (id !== undefined) open.delete(id)
  talk.headers.learn(message)
  const { hello, version } = talk.session
  const agreed = hello === undefined || version !== undefined ? undefined : agreedIn(message)
  if (agreed !== undefined) talk.session = { ...talk.session, version: agreed }
}

/** Why an answer is none. */
export async function whyNot(talk: Talk, answer: Response): Promise<ValetkeyError> {
  if (isRefusal(answer)) return refusalOf(answer)
  await answer.body?.cancel()
  return failed(talk, answer)
}

export function failed({ address }: Talk, { status, headers }: Response): ValetkeyError {
  return upstreamError(address, status, headers.get('valetkey-retry'))
}
