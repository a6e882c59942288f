import { parseAddress } from './address.ts'
import type { ForwardAnswer, ForwardRequest } from './desk.ts'
import { ValetkeyError } from './error.ts'
import { readPurpose } from './purpose.ts'
import { type Fetch, isRefusal, refusalOf, send, type Wire } from './wire.ts'

/** Says what a request is for. It goes no further than the broker. */
const PURPOSE_HEADER = 'valetkey-purpose'
/** Has the credential taken out of the answer, whoever asks. */
const BLIND_HEADER = 'valetkey-blind'

/** Plain http goes no further than this computer, whose address is known by its literal. */
const ON_THIS_COMPUTER = /^127\.0\.0\.1:\d{1,5}$/

/** Where a door does a request on the caller's behalf: a path, or a whole URL at one of the provider's hosts. */
export function gatewayPath(address: string, target: string): string {
  const place = parseAddress(address)
  if (place === undefined) throw new ValetkeyError('not-connected', `no account has the address "${address}"`)
  const account = `/forward/${place.provider}/${place.bucket}`
  if (!/^[a-z][a-z0-9+.-]*:/i.test(target)) return account + absolute(target)
  if (!URL.canParse(target))
    throw new ValetkeyError('invalid-request', 'the address to forward to cannot be read')
  const { protocol, host, pathname, search } = new URL(target)
  if (protocol !== 'https:' && !(protocol === 'http:' && ON_THIS_COMPUTER.test(host))) {
    throw new ValetkeyError('host-not-allowed', `a credential goes to https addresses only, not to ${host}`)
  }
  return `${account}/~/${host}${pathname}${search}`
}

/** Dots that would leave the account's own path are taken out here, as any URL parser would. */
function absolute(path: string): string {
  const { pathname, search } = new URL(`https://host/${path.replace(/^\//, '')}`)
  return pathname + search
}

export async function forwardBy(wire: Wire, request: ForwardRequest): Promise<ForwardAnswer> {
  const { address, path, method, body = null, signal = null } = request
  const purpose = readPurpose(request.purpose)
  const headers = {
    ...request.headers,
    ...(purpose !== null && { [PURPOSE_HEADER]: purpose }),
    ...(request.blind && { [BLIND_HEADER]: '1' }),
  }
  const init = { method, headers, body: body as NonNullable<RequestInit['body']> | null, signal }
  const response = await send(wire, gatewayPath(address, path), streaming(init))
  if (isRefusal(response)) throw await refusalOf(response)
  return { status: response.status, headers: [...response.headers], body: response.body }
}

/** A `fetch` whose requests are done by the broker, with the account's credential. */
export function fetchBy(wire: Wire, address: string): typeof globalThis.fetch {
  const forward: Fetch = (url, init = {}) => send(wire, gatewayPath(address, String(url)), streaming(init))
  return async (input, init) => {
    if (!(input instanceof Request)) return forward(input, init)
    const { url, method, headers, body, signal } = input
    return forward(url, { method, headers, body, signal, ...init })
  }
}

/** Node wants to be told that a body is streamed. Other runtimes do not mind. */
function streaming(init: RequestInit): RequestInit {
  return init.body instanceof ReadableStream ? ({ ...init, duplex: 'half' } as RequestInit) : init
}
