import { isRefusal, refusalOf } from '#client'
import { follow, isStream, listenOn, lost } from './following.ts'
import { requestHeaders } from './headers.ts'
import { type Id, idOf, type Message, readLine, versionOf } from './messages.ts'
import { refusalFor } from './refusals.ts'
import { begunBy, headersOf, NO_SESSION } from './session.ts'
import { failed, hand, type Talk, type Tell, type UpstreamOptions, whyNot } from './talk.ts'

const INITIALIZED = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })
const GOODBYE_MS = 2000

export interface Upstream {
  /** Sends a line with its messages, and hands on all that comes of it. Each request in it is answered once. */
  send(line: string, messages: readonly Message[], signal?: AbortSignal): Promise<void>
  /** Says goodbye, where the server keeps a session. */
  close(): Promise<void>
}

/** An MCP server over streamable HTTP, as a client sees it that has only lines. */
export function openUpstream(options: UpstreamOptions): Upstream {
  const { emit, ended } = options
  const talk: Talk = { ...options, headers: requestHeaders(), session: NO_SESSION }
  let beginning: Promise<void> | undefined
  let listening = new AbortController()
  let isDeaf = false

  async function post(line: string, messages: readonly Message[], signal: AbortSignal): Promise<Response> {
    const own = messages.length === 1 && messages[0] ? talk.headers.of(messages[0]) : {}
    return talk.fetch({ method: 'POST', headers: { ...headersOf(talk.session), ...own }, body: line, signal })
  }

  async function send(line: string, messages: readonly Message[], cancelled?: AbortSignal): Promise<void> {
    const signal = cancelled === undefined ? ended : AbortSignal.any([ended, cancelled])
    const open = new Set(messages.flatMap((one) => idOf(one) ?? []))
    const isHello = messages.some(({ method }) => method === 'initialize')
    const { version } = talk.session
    talk.session = isHello ? NO_SESSION : { ...talk.session, version: claimed(messages) ?? version }
    try {
      const answer = await sentTwice(line, messages, signal)
      if (isHello && answer.ok) talk.session = begunBy(line, answer)
      await take(answer, open, signal)
      if (open.size > 0) throw lost()
      if (isDeaf || messages.some(({ method }) => method === 'notifications/initialized')) listen()
    } catch (error) {
      if (signal.aborted) return
      for (const id of open) await emit(JSON.stringify(refusalFor(id, error)))
    }
  }

  /** A server that forgot the session is greeted again: a client that has only lines would never know. */
  async function sentTwice(
    line: string,
    messages: readonly Message[],
    signal: AbortSignal,
  ): Promise<Response> {
    const { id, hello } = talk.session
    const answer = await post(line, messages, signal)
    if (answer.status !== 404 || id === undefined || hello === undefined || isRefusal(answer)) return answer
    await answer.body?.cancel()
    if (talk.session.id === id) {
      beginning ??= beginAgain(hello).finally(() => {
        beginning = undefined
      })
    }
    await beginning
    return post(line, messages, signal)
  }

  async function beginAgain(hello: string): Promise<void> {
    listening.abort()
    talk.session = NO_SESSION
    const answer = await post(hello, [], ended)
    if (!answer.ok) throw await whyNot(talk, answer)
    talk.session = begunBy(hello, answer)
    const greeted = new Set((readLine(hello) ?? []).flatMap((one) => idOf(one) ?? []))
    await take(answer, greeted, ended, async () => {})
    await (await post(INITIALIZED, [], ended)).body?.cancel()
    listen()
  }

  async function take(answer: Response, open: Set<Id>, signal: AbortSignal, tell: Tell = emit) {
    const { body } = answer
    if (isRefusal(answer)) throw await refusalOf(answer)
    if (isStream(answer) && body !== null) return follow(talk, body, { open, signal, tell })
    const text = await answer.text()
    if (answer.ok && text.trim() === '') return
    if (!(await hand(talk, text, open, tell)) && !(answer.ok && open.size === 0)) throw failed(talk, answer)
  }

  function listen(): void {
    if (talk.session.hello === undefined) return
    listening.abort()
    listening = new AbortController()
    isDeaf = false
    const over = listenOn(talk, AbortSignal.any([ended, listening.signal]))
    void over.then(
      (refused) => {
        isDeaf = refused
      },
      () => {},
    )
  }

  return {
    send,
    async close() {
      listening.abort()
      if (talk.session.id === undefined) return
      const { 'content-type': _, ...headers } = headersOf(talk.session)
      const signal = AbortSignal.timeout(GOODBYE_MS)
      const answer = await talk.fetch({ method: 'DELETE', headers, signal }).catch(() => undefined)
      await answer?.body?.cancel().catch(() => {})
    },
  }
}

function claimed(messages: readonly Message[]): string | undefined {
  return messages.map(versionOf).find((version) => version !== undefined)
}
