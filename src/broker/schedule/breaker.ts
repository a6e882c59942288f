import type { ErrorCode, ValetkeyError } from '#client'
import { OF_THE_SERVER } from '../../protocol/trouble.ts'
import type { Whole } from '../grants.ts'

const SECOND_MS = 1000
/** After so many accounts in a row nobody asks there any more for a while. */
const FAILURES = 5
const FIRST_MS = 5 * SECOND_MS
const LONGEST_MS = 5 * 60 * SECOND_MS
/** So long a server may keep all of its accounts from being asked about. */
const LONGEST_ASKED_FOR_MS = 60 * 60 * SECOND_MS
/** Whoever asks first afterwards does so alone for this long, unless the answer comes before. */
const ALONE_MS = 15 * SECOND_MS

/** Those that failed longer ago than this say nothing of how the server is now. */
const FORGOTTEN_MS = 5 * 60 * SECOND_MS

/** It had something to say, be it no. */
const ANSWERS: readonly ErrorCode[] = [
  'access-revoked',
  'provider-not-configured',
  'refused-by-policy',
  'vendor-policy',
]
/** These say by themselves how long to stay away, and mean everybody. */
const STAY_AWAY: readonly ErrorCode[] = ['rate-limited', 'server-error']

export interface Shut {
  readonly leftMs: number
  /** What it was that happened there last. */
  readonly code: ErrorCode
}

/** Keeps everybody away from a server that is down, so that it can come up again. */
export interface Breaker {
  /** Undefined: ask. Once its time is over, whoever is told so first is alone in asking. */
  pass(server: string): Shut | undefined
  /** How long it wants to be left alone by what nobody is waiting for. */
  quietMs(server: string): number
  succeeded(server: string): void
  failed(server: string, accountId: string, error: ValetkeyError): void
}

interface Line {
  /** When each account failed there last. */
  readonly failing: Map<string, number>
  /** How often in a row it was shut. */
  times: number
  until: number
  alone: boolean
  quietUntil: number
  code: ErrorCode
}

export function openBreaker(monotonic: () => number): Breaker {
  const lines = new Map<string, Line>()

  function shut(line: Line, { retryAfter = 0 }: ValetkeyError): void {
    line.times += 1
    const wait =
      Math.min(FIRST_MS * 2 ** Math.min(line.times - 1, 20), LONGEST_MS) * (0.75 + Math.random() / 2)
    line.until = monotonic() + Math.max(wait, Math.min(retryAfter * SECOND_MS, LONGEST_ASKED_FOR_MS))
    line.alone = false
  }

  return {
    pass(server) {
      const line = lines.get(server)
      if (line === undefined || line.times === 0) return undefined
      const leftMs = line.until - monotonic()
      if (leftMs > 0) return { leftMs, code: line.code }
      line.alone = true
      line.until = monotonic() + ALONE_MS
      return undefined
    },
    quietMs(server) {
      return Math.max(0, (lines.get(server)?.quietUntil ?? 0) - monotonic())
    },
    succeeded: (server) => void lines.delete(server),
    failed(server, accountId, error) {
      if (ANSWERS.includes(error.code)) return void lines.delete(server)
      if (!OF_THE_SERVER.includes(error.code)) return
      const line = lines.get(server) ?? newLine(error.code)
      lines.set(server, line)
      line.failing.set(accountId, monotonic())
      forgetOld(line, monotonic())
      line.code = error.code
      if (STAY_AWAY.includes(error.code) && error.retryAfter !== undefined)
        line.quietUntil = monotonic() + Math.min(error.retryAfter * SECOND_MS, LONGEST_ASKED_FOR_MS)
      // Those that were under way when it was shut say nothing new.
      const isNews = line.alone || line.until <= monotonic()
      if (isNews && (line.times > 0 || line.failing.size >= FAILURES)) shut(line, error)
    },
  }
}

/** Where an account is renewed: the authorization server, or its provider where there is none. */
export function serverOf({
  account,
  from,
}: {
  readonly account: Pick<Whole['account'], 'provider'>
  readonly from: Pick<Whole['from'], 'issuer'>
}): string {
  return from.issuer === null || !URL.canParse(from.issuer) ? account.provider : new URL(from.issuer).host
}

function forgetOld({ failing }: Line, now: number): void {
  for (const [id, at] of failing) if (now - at > FORGOTTEN_MS) failing.delete(id)
}

function newLine(code: ErrorCode): Line {
  return { failing: new Map(), times: 0, until: 0, alone: false, quietUntil: 0, code }
}
