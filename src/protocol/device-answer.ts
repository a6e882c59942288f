import { ValetkeyError } from '#client'
import { type Answer, type Judge, type Judged, refuseTrouble } from './ask.ts'
import { isSafe } from './server.ts'
import { strictObject } from './strict-json.ts'

/** RFC 8628 §3.2: where nobody says how often, it is this. */
const USUAL_INTERVAL = 5
const LONGEST_INTERVAL = 600
/** Some servers do not say how long a code lives. */
const USUAL_LIFE = 600
const LONGEST_LIFE = 24 * 60 * 60
const MOST_CODE = 4096

/** A code that a person enters elsewhere, as far as it was judged. */
export interface Begun {
  /** What the token is asked for by; nobody but the server sees it again. */
  readonly deviceCode: string
  readonly userCode: string
  readonly at: string
  /** The same address with the code filled in. */
  readonly whole?: string | undefined
  readonly seconds: number
  readonly everySeconds: number
}

/** Words by which a server says that nobody has entered the code yet. */
const WAITING: ReadonlySet<unknown> = new Set(['authorization_pending', 'slow_down'])

/** RFC 8628 §3.2, or the name of an error. `verify` is where the code is entered if no answer says so. */
export function deviceAnswer(verify?: string): Judge {
  return (answer) => {
    refuseTrouble(answer)
    const body = bodyOf(answer)
    const { error } = body
    if (typeof error === 'string' && error !== '') return { status: 400, body: { error } }
    if (answer.status !== 200) throw unexplained(answer)
    return { status: 200, body: inTheirWords(begunOf(body, verify)) }
  }
}

/** What the library asks an answer to look like. */
function inTheirWords({ deviceCode, userCode, at, whole, seconds, everySeconds }: Begun): Judged['body'] {
  return {
    device_code: deviceCode,
    user_code: userCode,
    verification_uri: at,
    ...(whole === undefined ? {} : { verification_uri_complete: whole }),
    expires_in: seconds,
    interval: everySeconds,
  }
}

/** Judges what a server said when it was asked for a code. The names are those of the standard, or older ones. */
export function begunOf(body: Readonly<Record<string, unknown>>, verify?: string): Begun {
  const at = body['verification_uri'] ?? body['verification_url'] ?? verify
  const whole = body['verification_uri_complete'] ?? body['verification_url_complete']
  return {
    deviceCode: text(body['device_code'], 'device_code'),
    userCode: shown(body['user_code'] ?? body['usercode']),
    at: place(at),
    whole: whole === undefined || whole === null || whole === '' ? undefined : place(whole),
    seconds: Math.min(numberOf(body['expires_in']) ?? USUAL_LIFE, LONGEST_LIFE),
    everySeconds: Math.min(numberOf(body['interval']) ?? USUAL_INTERVAL, LONGEST_INTERVAL),
  }
}

/** As long as nobody has entered the code it does not matter by which status that is said. */
export function waitingOr(judge: Judge): Judge {
  return (answer) => {
    const error = answer.status < 500 && answer.type === 'application/json' ? wordIn(answer) : undefined
    return WAITING.has(error) ? { status: 400, body: { error } } : judge(answer)
  }
}

function wordIn({ text }: Answer): unknown {
  try {
    return strictObject(text)['error']
  } catch {
    return undefined
  }
}

function bodyOf(answer: Answer): Readonly<Record<string, unknown>> {
  if (answer.type !== 'application/json') throw unexplained(answer)
  try {
    return strictObject(answer.text)
  } catch (error) {
    throw answer.status === 200 ? error : unexplained(answer)
  }
}

function unexplained({ status }: Answer): ValetkeyError {
  return new ValetkeyError('bad-answer', `the provider answered ${status} when it was asked for a code`)
}

function text(value: unknown, name: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= MOST_CODE) return value
  throw new ValetkeyError('bad-answer', `the provider gave no usable ${name}`)
}

/** It is printed at a terminal, so nothing is in it that would do anything there. */
function shown(value: unknown): string {
  const code = text(value, 'user_code')
  if (/^[\p{L}\p{N}\p{P}\p{S} ]{1,64}$/u.test(code)) return code
  throw new ValetkeyError('bad-answer', 'the provider gave no usable user_code')
}

/** A person is sent nowhere but to https, or to this very computer. */
function place(value: unknown): string {
  if (typeof value === 'string' && isSafe(value)) return new URL(value).href
  throw new ValetkeyError('bad-answer', 'the provider sends people to an address that is not https')
}

function numberOf(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{1,9}(\.\d+)?$/.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) && number > 0 ? number : undefined
}
