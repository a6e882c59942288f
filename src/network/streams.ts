import type { Duplex, Writable } from 'node:stream'
import type { Agent, Dispatcher } from 'undici'
import { ValetkeyError } from '#client'
import type { AnswerHead, Sending, Switched } from '../model/network.ts'
import { capped } from './capped.ts'
import { troubleOf } from './trouble.ts'

export interface Asking {
  readonly agent: Agent
  readonly maxBytes: number | undefined
  readonly headersTimeout: number
}

type Begun = (head: AnswerHead) => Writable

/** One request on Node's streams, whose address was judged. */
export async function streamOver(asking: Asking, url: URL, request: Sending, begun: Begun) {
  const { agent, maxBytes, headersTimeout } = asking
  const options = { ...optionsOf(url, request), headersTimeout, responseHeaders: 'raw' } as const
  try {
    await agent.stream(options, ({ statusCode, headers }) =>
      capped(begun(headOf(url, statusCode, headers)), url, maxBytes),
    )
  } catch (error) {
    throw troubleOf(error, url.host, request.signal)
  }
}

/** The same for one that wants to go on in another protocol, whether it may or not. */
export function upgradeOver(
  { agent, maxBytes, headersTimeout }: Asking,
  url: URL,
  { protocol, signal, ...request }: Sending & { readonly protocol: string },
  begun: Begun,
): Promise<Switched | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Switched | undefined>()
  let into: Writable | undefined
  const failed = (error: unknown) => {
    into?.destroy()
    reject(troubleOf(error, url.host, signal))
  }
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(controller) {
      const abort = () => controller.abort(signal?.reason)
      if (signal?.aborted) abort()
      else signal?.addEventListener('abort', abort, { once: true })
    },
    onRequestUpgrade(controller, status, _, socket) {
      resolve({ ...headOf(url, status, rawOf(controller)), socket: socket as Duplex })
    },
    onResponseStart(controller, status) {
      if (status < 200) return
      into = capped(begun(headOf(url, status, rawOf(controller))), url, maxBytes)
      into.on('drain', () => controller.resume())
      into.on('finish', () => resolve(undefined))
      into.on('error', (error) => controller.abort(error))
      into.on('close', () => controller.abort(new Error('nobody takes the answer')))
    },
    onResponseData(controller, chunk) {
      if (into?.write(chunk) === false) controller.pause()
    },
    onResponseEnd: () => void into?.end(),
    onResponseError: (_, error) => failed(error),
  }
  try {
    agent.dispatch({ ...optionsOf(url, request), headersTimeout, upgrade: protocol }, handler)
  } catch (error) {
    failed(error)
  }
  return promise
}

/** They would show the credential to whoever reads the answer, or lead past the one who is asked. */
const NEVER = ['TRACE', 'TRACK', 'CONNECT']

function optionsOf(url: URL, { method, headers, body = null, signal }: Sending) {
  if (headers.some(([name]) => name === 'host')) {
    throw new ValetkeyError('invalid-request', `the request for ${url.host} names another host in a header`)
  }
  if (NEVER.includes(method.toUpperCase()))
    throw new ValetkeyError('invalid-request', `the request for ${url.host} has a method that is never sent`)
  const path = url.pathname + url.search
  // Of the methods that there are to be, a name is all that is asked.
  const asked = { origin: url.origin, path, method: method as Dispatcher.HttpMethod, headers: headers.flat() }
  return { ...asked, body, ...(signal && { signal }) }
}

function rawOf(controller: Dispatcher.DispatchController): readonly string[] {
  const { rawHeaders } = controller as { rawHeaders?: readonly (Buffer | string)[] }
  return (rawHeaders ?? []).map((part) => (typeof part === 'string' ? part : part.toString('latin1')))
}

function headOf(url: URL, status: number, raw: unknown): AnswerHead {
  if (status > 599) throw new ValetkeyError('bad-answer', `${url.host} answered with status ${status}`)
  const headers: [string, string][] = []
  const flat = raw as readonly (string | readonly string[])[]
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const name = String(flat[at]).toLowerCase()
    for (const value of [flat[at + 1] ?? ''].flat()) headers.push([name, value])
  }
  return { status, headers }
}
