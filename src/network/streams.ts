import { type Duplex, Readable, type Writable } from 'node:stream'
import type { Agent, Dispatcher } from 'undici'
import { ValetkeyError } from '#client'
import type { AnswerHead, Sending, Switched, Taking } from '../model/network.ts'
import { type Passing, passing } from './passing.ts'
import { troubleOf } from './trouble.ts'

export interface Asking {
  readonly agent: Agent
  readonly maxBytes: number | undefined
  readonly headersTimeout: number
}

type Begun = (head: AnswerHead) => Writable | Promise<Taking>

/** One request on Node's streams, whose address was judged. */
export async function streamOver(asking: Asking, url: URL, request: Sending, begun: Begun): Promise<void> {
  await send(asking, url, request, begun)
}

/** The same for one that wants to go on in another protocol, whether it may or not. */
export function upgradeOver(
  asking: Asking,
  url: URL,
  { protocol, ...request }: Sending & { readonly protocol: string },
  begun: Begun,
): Promise<Switched | undefined> {
  return send(asking, url, request, begun, protocol)
}

/** Nothing stands between the connection and what takes the answer: each piece is written as it is read. */
function send(asking: Asking, url: URL, request: Sending, begun: Begun, upgrade?: string) {
  const { agent, headersTimeout } = asking
  const { promise, resolve, reject } = Promise.withResolvers<Switched | undefined>()
  const { body, signal } = request
  let flow: Dispatcher.DispatchController | undefined
  let answer: Passing | undefined
  let left = asking.maxBytes ?? Number.POSITIVE_INFINITY

  const abort = () => flow?.abort(signal?.reason)
  function failed(error: unknown): void {
    signal?.removeEventListener('abort', abort)
    answer?.cut()
    if (body instanceof Readable) body.destroy()
    reject(troubleOf(error, url.host, signal))
  }
  function broken(error: Error): void {
    failed(error)
    flow?.abort(error)
  }
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(controller) {
      flow = controller
      if (signal?.aborted) abort()
    },
    onRequestUpgrade(controller, status, _, socket) {
      signal?.removeEventListener('abort', abort)
      resolve({ ...headOf(url, status, rawOf(controller)), socket: socket as Duplex })
    },
    onResponseStart(controller, status) {
      if (status < 200) return
      const taking = begun(headOf(url, status, rawOf(controller)))
      answer = passing({ flow: controller, taken: () => resolve(undefined), left: broken })
      if (taking instanceof Promise) taking.then(answer.to, broken)
      else answer.to({ into: taking })
    },
    onResponseData(_, piece) {
      left -= piece.byteLength
      if (left < 0) return broken(tooLarge(url))
      answer?.write(piece)
    },
    onResponseEnd() {
      signal?.removeEventListener('abort', abort)
      answer?.end()
    },
    onResponseError: (_, error) => failed(error),
  }
  try {
    const options = optionsOf(url, request)
    signal?.addEventListener('abort', abort)
    agent.dispatch({ ...options, headersTimeout, ...(upgrade !== undefined && { upgrade }) }, handler)
  } catch (error) {
    failed(error)
  }
  return promise
}

function tooLarge(url: URL): ValetkeyError {
  return new ValetkeyError('response-too-large', `${url.host} answered more than is taken`)
}

/** They would show the credential to whoever reads the answer, or lead past the one who is asked. */
const NEVER = ['TRACE', 'TRACK', 'CONNECT']

function optionsOf(url: URL, { method, headers, body = null }: Sending) {
  if (headers.some(([name]) => name === 'host')) {
    throw new ValetkeyError('invalid-request', `the request for ${url.host} names another host in a header`)
  }
  if (NEVER.includes(method.toUpperCase()))
    throw new ValetkeyError('invalid-request', `the request for ${url.host} has a method that is never sent`)
  const path = url.pathname + url.search
  // Of the methods that there are to be, a name is all that is asked.
  const asked = { origin: url.origin, path, method: method as Dispatcher.HttpMethod, headers: headers.flat() }
  return { ...asked, body }
}

function rawOf(controller: Dispatcher.DispatchController): readonly string[] {
  const { rawHeaders } = controller as { rawHeaders?: readonly (Buffer | string)[] }
  return (rawHeaders ?? []).map((part) => (typeof part === 'string' ? part : part.toString('latin1')))
}

function headOf(url: URL, status: number, raw: readonly string[]): AnswerHead {
  if (status > 599) throw new ValetkeyError('bad-answer', `${url.host} answered with status ${status}`)
  const headers: [string, string][] = []
  for (let at = 0; at + 1 < raw.length; at += 2)
    headers.push([(raw[at] ?? '').toLowerCase(), raw[at + 1] ?? ''])
  return { status, headers }
}
