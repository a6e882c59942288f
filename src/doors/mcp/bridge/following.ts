import { setTimeout as pause } from 'node:timers/promises'
import { isRefusal, ValetkeyError } from '#client'
import { readEvents, type StreamEvent } from './event-stream.ts'
import type { Id } from './messages.ts'
import { headersOf } from './session.ts'
import { hand, type Talk, type Tell, whyNot } from './talk.ts'

/** How often in a row a stream that broke off is asked for what follows. */
const MOST_TRIES = 5
const AGAIN_MS = 1000
const LONGEST_PAUSE_MS = 30_000

interface Following {
  readonly open: Set<Id>
  readonly signal: AbortSignal
  readonly tell: Tell
}

/** How far a stream was read. */
interface Mark {
  last: string | undefined
  retryMs: number
}

/** All of a stream until everything is answered; one that breaks off is asked for what follows. */
export async function follow(
  talk: Talk,
  first: ReadableStream<Uint8Array>,
  { open, signal, tell }: Following,
): Promise<void> {
  const at: Mark = { last: undefined, retryMs: AGAIN_MS }
  let body: ReadableStream<Uint8Array> | null = first
  for (let tries = 0; ; tries += 1) {
    for await (const { data } of marked(body, at, signal)) {
      tries = 0
      await hand(talk, data, open, tell)
      if (open.size === 0) return
    }
    if (open.size === 0) return
    if (at.last === undefined || tries >= MOST_TRIES) throw lost()
    await waitFor(at, tries, signal)
    const answer = await resumed(talk, at, signal)
    body = isStream(answer) ? answer.body : null
    if (body === null) throw await whyNot(talk, answer)
  }
}

/**
 * What a server of an older revision says unasked comes on a stream of its own, where it has one. True where the
 * broker refuses it: then it is for the client to say something first.
 */
export async function listenOn(talk: Talk, signal: AbortSignal): Promise<boolean> {
  const at: Mark = { last: undefined, retryMs: AGAIN_MS }
  for (let tries = 0; !signal.aborted; tries += 1) {
    const answer = await resumed(talk, at, signal).catch(() => undefined)
    if (answer !== undefined && !isStream(answer)) {
      await answer.body?.cancel()
      if (isRefusal(answer)) return true
      if (answer.status < 500) return false
    }
    if (answer?.body && isStream(answer))
      for await (const { data } of marked(answer.body, at, signal)) {
        tries = 0
        await hand(talk, data, new Set())
      }
    await waitFor(at, tries, signal)
  }
  return false
}

export function isStream({ ok, headers }: Response): boolean {
  return ok && (headers.get('content-type') ?? '').startsWith('text/event-stream')
}

export function lost(): ValetkeyError {
  return new ValetkeyError('answer-lost', 'the answer of the MCP server was lost on the way')
}

async function waitFor({ retryMs }: Mark, tries: number, signal: AbortSignal): Promise<void> {
  await pause(Math.min(retryMs * 2 ** tries, LONGEST_PAUSE_MS), undefined, { signal })
}

async function resumed({ fetch, session }: Talk, { last }: Mark, signal: AbortSignal): Promise<Response> {
  const { 'content-type': _, ...plain } = headersOf(session)
  const from = last === undefined ? {} : { 'last-event-id': last }
  return fetch({ method: 'GET', headers: { ...plain, accept: 'text/event-stream', ...from }, signal })
}

/** The messages of a stream; it ends as well where it breaks off, unless nobody wants it any more. */
async function* marked(
  body: ReadableStream<Uint8Array>,
  at: Mark,
  signal: AbortSignal,
): AsyncGenerator<StreamEvent> {
  try {
    for await (const event of readEvents(body)) {
      at.last = event.id ?? at.last
      at.retryMs = event.retryMs ?? at.retryMs
      if (event.data !== '') yield event
    }
  } catch (error) {
    if (signal.aborted) throw error
  }
}
