/** JSON-RPC as far as a bridge looks into it. What it does not look at passes as it is. */
export type Message = Readonly<Record<string, unknown>>
export type Id = string | number

/** The revision that a request claims for itself, since there is no handshake any more (MCP 2026-07-28). */
const VERSION = 'io.modelcontextprotocol/protocolVersion'

/** The messages in a line: one, or in older revisions several. Undefined for what is none. */
export function readLine(line: string): readonly Message[] | undefined {
  let read: unknown
  try {
    read = JSON.parse(line)
  } catch {
    return undefined
  }
  const all: readonly unknown[] = Array.isArray(read) ? read : [read]
  return all.length > 0 && all.every(isMessage) ? all : undefined
}

export function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The id that an answer to it will bear; undefined for what is not answered. */
export function idOf({ id, method }: Message): Id | undefined {
  return typeof method === 'string' && isId(id) ? id : undefined
}

/** Whose answer this is. */
export function answeredBy({ id, method }: Message): Id | undefined {
  return method === undefined && isId(id) ? id : undefined
}

/** Which request this takes back. */
export function cancelledBy({ method, params }: Message): Id | undefined {
  const id = method === 'notifications/cancelled' && isMessage(params) ? params['requestId'] : undefined
  return isId(id) ? id : undefined
}

export function versionOf({ params }: Message): string | undefined {
  const meta = isMessage(params) ? params['_meta'] : undefined
  const version = isMessage(meta) ? meta[VERSION] : undefined
  return typeof version === 'string' ? version : undefined
}

function isId(value: unknown): value is Id {
  return typeof value === 'string' || typeof value === 'number'
}
