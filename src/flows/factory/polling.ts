import { setImmediate as turn } from 'node:timers/promises'
import { ValetkeyError } from '#client'
import { type Issued, readIssued } from '../issued/issued.ts'
import type { Begun, OAuthFlowInterface } from './shapes.ts'

/** RFC 8628 §3.5: from then on for every request. */
const SLOWER_SECONDS = 5

/** How a device is asked after: one question at a time, however long the program takes over it. */
export interface Looking {
  everySeconds: number
  asked?: Promise<void> | undefined
  token?: unknown
  trouble?: ValetkeyError | undefined
}

interface Asked {
  readonly instance: OAuthFlowInterface
  readonly begun: Begun
}

/** The token, where it is there by now. A program may answer at once that it is pending, or wait itself. */
export async function lookAt(looking: Looking, asked: Asked): Promise<Issued | undefined> {
  if (looking.asked === undefined) ask(looking, asked)
  // What is answered at once is heard at once.
  await Promise.race([looking.asked, turn().then(() => turn())])
  if (looking.trouble !== undefined) throw looking.trouble
  return looking.token === undefined ? undefined : readIssued(looking.token)
}

function ask(looking: Looking, { instance, begun }: Asked): void {
  if (instance.pollForToken === undefined) return
  looking.asked = instance.pollForToken(begun.device_code).then(
    (token) => {
      looking.token = token
    },
    (error: unknown) => {
      looking.asked = undefined
      hear(looking, error)
    },
  )
}

function hear(looking: Looking, error: unknown): void {
  switch (wordOf(error)) {
    case 'authorization_pending':
      return
    case 'slow_down':
      looking.everySeconds = slower(looking.everySeconds, error)
      return
    case 'access_denied':
      looking.trouble = new ValetkeyError('access-denied', 'access was denied at the provider')
      return
    case 'expired_token':
      looking.trouble = new ValetkeyError('flow-expired', 'the code was not entered in time')
      return
    default:
      looking.trouble = new ValetkeyError('poll-failed', 'the provider could not be asked')
  }
}

const WORDS = /authorization_pending|slow_down|access_denied|expired_token/

/** By its code, or anywhere in its message. */
function wordOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const code = 'code' in error ? String(error.code) : ''
  return WORDS.exec(code)?.[0] ?? WORDS.exec(error.message)?.[0]
}

function slower(seconds: number, error: unknown): number {
  const told = error instanceof Error && 'newInterval' in error ? Number(error.newInterval) : Number.NaN
  return Math.max(seconds + SLOWER_SECONDS, Number.isNaN(told) ? 0 : told)
}
