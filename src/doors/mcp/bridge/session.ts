import type { Message } from './messages.ts'

/** Where a conversation with a server stands, in the words of its headers. */
export interface Session {
  /** Undefined where the server keeps none. */
  readonly id: string | undefined
  /** The revision that was agreed upon, or that requests claim for themselves. */
  readonly version: string | undefined
  /** How it was begun, so that it can be begun again. */
  readonly hello: string | undefined
}

export const NO_SESSION: Session = { id: undefined, version: undefined, hello: undefined }

export function headersOf({ id, version }: Session): Readonly<Record<string, string>> {
  return {
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
    ...(id === undefined ? {} : { 'mcp-session-id': id }),
    ...(version === undefined ? {} : { 'mcp-protocol-version': version }),
  }
}

/** The session that the answer to a greeting begins. */
export function begunBy(hello: string, answer: Response): Session {
  return { id: answer.headers.get('mcp-session-id') ?? undefined, version: undefined, hello }
}

/** What the server chose, where it says so. */
export function agreedIn({ result }: Message): string | undefined {
  const version = typeof result === 'object' && result !== null && 'protocolVersion' in result
  return version && typeof result.protocolVersion === 'string' ? result.protocolVersion : undefined
}
