import { ValetkeyError } from '#client'
import type { Id, Message } from './messages.ts'

/** What JSON-RPC leaves to whoever answers. */
const OURS = -32_000
const PARSE_ERROR = -32_700

/** The one error in the words of JSON-RPC: what happened, and what to do about it. */
export function refusalFor(id: Id | null, error: unknown): Message {
  const known = error instanceof ValetkeyError ? error : broken()
  const { code, message, hint, retryAfter } = known
  const words = hint === undefined ? message : `${message}; ${toDo(hint)}`
  const data = {
    code,
    ...(hint === undefined ? {} : { hint }),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  }
  return { jsonrpc: '2.0', id, error: { code: OURS, message: `${code}: ${words}`, data } }
}

export function notJson(): Message {
  return {
    jsonrpc: '2.0',
    id: null,
    error: { code: PARSE_ERROR, message: 'this line is no JSON-RPC message' },
  }
}

function toDo(hint: string): string {
  return hint.startsWith('valetkey ') ? `run: ${hint}` : hint
}

function broken(): ValetkeyError {
  return new ValetkeyError('network-error', 'the MCP server could not be reached')
}

/** What the server answered where a JSON-RPC message was awaited. `retry` is what the broker says beside a refusal. */
export function upstreamError(address: string, status: number, retry: string | null): ValetkeyError {
  const again = { hint: `valetkey reconnect ${address}` }
  if (retry === 'missing-scopes')
    return new ValetkeyError('needs-reauth', `${address} was not granted what this takes`, again)
  if (status === 401)
    return new ValetkeyError('needs-reauth', `the server no longer accepts the access of ${address}`, again)
  if (status === 403) return new ValetkeyError('access-denied', `the server does not let ${address} do this`)
  if (status === 429) return new ValetkeyError('rate-limited', 'the MCP server had too many requests')
  if (status >= 500) return new ValetkeyError('server-error', `the MCP server answered ${status}`)
  if (status === 404)
    return new ValetkeyError('bad-answer', `there is no MCP server at ${address}`, {
      hint: 'one is connected by its address: valetkey connect https://…',
    })
  return new ValetkeyError('bad-answer', `the MCP server answered ${status}, which is no message`)
}
