import type { Outgoing } from '../model/network.ts'
import type { OAuth } from '../model/provider.ts'
import type { Server } from './server.ts'

type Dialect = Pick<OAuth, 'requests' | 'tokenParams' | 'tokenHeaders'>

/** A request in the words of its server, where that is its token endpoint; any other stays as it is. */
export function spoken(
  { requests, tokenParams, tokenHeaders }: Dialect,
  { token, aliases }: Server,
  url: URL,
  request: Outgoing,
): Outgoing {
  if (url.href !== new URL(token).href && url.href !== aliases?.token) return request
  const form = new URLSearchParams(String(request.body ?? ''))
  for (const [name, value] of Object.entries(tokenParams)) if (!form.has(name)) form.set(name, value)
  const headers = { ...plain(request.headers), ...tokenHeaders }
  if (requests === 'form') return { ...request, headers, body: form.toString() }
  const json = JSON.stringify(Object.fromEntries(form))
  return { ...request, headers: { ...headers, 'content-type': 'application/json' }, body: json }
}

function plain(headers: Outgoing['headers'] = {}): Record<string, string> {
  const pairs = Symbol.iterator in headers ? headers : Object.entries(headers)
  return Object.fromEntries([...pairs].map(([name, value]) => [name.toLowerCase(), value]))
}
