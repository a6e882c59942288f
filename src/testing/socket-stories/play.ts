import { expect } from 'vitest'
import type { Check } from '../check.ts'
import type { Answer, FramedClient, FramedClientOptions, Message, RawClient } from '../framed-client.ts'

type Soon<T> = T | (() => T | Promise<T>)

/** What is known of the server under test. Only its path has to be. */
export interface SocketFacts {
  /** Where it listens; a function where that is known only when the tests run. */
  readonly path: Soon<string>
  /** Whether it takes us for a sandboxed caller, and not for the owner. */
  readonly sandboxed?: boolean
  /** An account whose token it lends us. */
  readonly lent?: { readonly provider: string; readonly bucket?: string }
  /** A provider that is not for us; it is refused, and listed nowhere. */
  readonly strange?: string
  /** A key that it reveals to us, and one that it only forwards with. */
  readonly key?: string
  readonly forwardedKey?: string
  /** A provider whose sign-in begins with a link, and one that has none. */
  readonly signIn?: string
  readonly keyOnly?: string
  /** A request that takes it a second or so. */
  readonly slow?: { readonly op: string; readonly payload: Message }
  /** Requests in a second that it takes of us; null for as many as we like. */
  readonly rate?: number | null
  /** What its handshake wants to be shown. */
  readonly capabilityToken?: Soon<string>
}

export interface Play {
  readonly facts: SocketFacts
  readonly path: string
  client(options?: FramedClientOptions): Promise<FramedClient>
  raw(): Promise<RawClient>
  /** A handshake that is taken. */
  greeting(version: number): Message
}

export type On = (name: string, story: (play: Play) => Promise<void>, needs?: readonly string[]) => Check

export async function settled<T>(soon: Soon<T>): Promise<T> {
  return typeof soon === 'function' ? (soon as () => T | Promise<T>)() : soon
}

const CODES = [
  'NOT_FOUND',
  'INVALID_REQUEST',
  'FORBIDDEN',
  'UNAUTHORIZED',
  'UNKNOWN_VERSION',
  'RATE_LIMITED',
  'RESOURCE_EXHAUSTED',
  'RESPONSE_TOO_LARGE',
  'CANCELLED',
  'INTERNAL_ERROR',
  'PROVIDER_NOT_CONFIGURED',
  'PROVIDER_NOT_FOUND',
  'FLOW_INITIATION_FAILED',
  'SESSION_NOT_FOUND',
  'SESSION_ALREADY_USED',
  'SESSION_EXPIRED',
  'EXCHANGE_FAILED',
  'ACCESS_DENIED',
  'POLL_FAILED',
  'REFRESH_NOT_AVAILABLE',
  'REFRESH_FAILED',
  'REAUTH_REQUIRED',
]

/** Words that no answer ever holds as the name of anything. */
const NEVER = [
  'refresh_token',
  'code_verifier',
  'codeVerifier',
  'device_code',
  'deviceCode',
  'flowInstance',
  'flow_instance',
  'pkceState',
  'pkce_state',
  'state',
  'stack',
]

export const VERSIONS = [1, 2] as const

/** How a version calls what is not for a caller. */
export function refusedIn(version: number): string {
  return version === 1 ? 'UNAUTHORIZED' : 'FORBIDDEN'
}

/** A refusal is of the listed codes, says something, and nothing else. */
export function expectRefused(answer: Answer | Message | undefined, ...codes: readonly string[]): void {
  expect(answer).toMatchObject({ ok: false, error: expect.stringMatching(/\S/) })
  expect(CODES).toContain(answer?.['code' as keyof typeof answer])
  expect(codes).toContain(answer?.['code' as keyof typeof answer])
}

export function expectDone(answer: Answer): Message {
  expect(answer).toMatchObject({ ok: true, data: expect.any(Object) })
  const names = namesIn(answer)
  expect(names.filter((name) => NEVER.includes(name))).toEqual([])
  return answer.data ?? {}
}

function namesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) => [name, ...namesIn(inner)])
}
