import { ValetkeyError } from '#client'
import type { OAuth } from '../model/provider.ts'
import { type Answer, type Judge, type Judged, refuseTrouble } from './ask.ts'
import { isObject, strictObject } from './strict-json.ts'

const TEN_YEARS_IN_SECONDS = 10 * 365 * 24 * 60 * 60

export interface Expected {
  readonly answers: OAuth['answers']
  /** An ID token that nobody asked for is not looked at. */
  readonly idToken: boolean
}

/** Judges what a token endpoint said. Only what is known is left of it: tokens, or the name of an error. */
export function tokenAnswer(expected: Expected): Judge {
  return (answer) => {
    refuseTrouble(answer)
    const body = bodyOf(answer, expected)
    if (typeof body['error'] === 'string' && body['error'] !== '') return error(body['error'])
    if (answer.status !== 200) throw unexplained(answer)
    return { status: 200, body: tokens(body, expected) }
  }
}

function bodyOf(answer: Answer, { answers }: Expected): Readonly<Record<string, unknown>> {
  if (answers === 'form' && answer.type === 'application/x-www-form-urlencoded') return form(answer.text)
  if (answer.type === 'application/json') return readable(answer)
  if (answer.status !== 200) throw unexplained(answer)
  throw new ValetkeyError('bad-answer', 'the provider answered with something else than JSON')
}

/** A refusal in broken JSON is still a refusal, and says no more than its status. */
function readable(answer: Answer): Readonly<Record<string, unknown>> {
  try {
    return strictObject(answer.text)
  } catch (error) {
    throw answer.status === 200 ? error : unexplained(answer)
  }
}

function form(text: string): Readonly<Record<string, unknown>> {
  const params = new URLSearchParams(text)
  if (new Set(params.keys()).size !== params.size)
    throw new ValetkeyError('bad-answer', 'the answer says the same name twice')
  return Object.fromEntries(params)
}

/** Some servers refuse with a 200: in the words of the standard it is a 400. */
function error(name: string): Judged {
  return { status: 400, body: { error: name } }
}

function unexplained({ status }: Answer): ValetkeyError {
  if (status === 401)
    return new ValetkeyError('provider-not-configured', 'the provider does not know this client', {
      hint: 'check the client id and its secret',
    })
  return new ValetkeyError('bad-answer', `the provider answered ${status} without saying why`)
}

function tokens(body: Readonly<Record<string, unknown>>, { idToken }: Expected): Judged['body'] {
  const type = body['token_type']
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer')
    throw new ValetkeyError('bad-answer', 'the provider issued a token of an unknown type')
  const names = ['access_token', 'refresh_token', 'scope', ...(idToken ? ['id_token'] : [])]
  const known = names.flatMap((name) => (isSaid(body[name]) ? [[name, body[name]] as const] : []))
  const seconds = secondsOf(body['expires_in'])
  return {
    ...Object.fromEntries(known),
    token_type: type,
    ...(seconds === undefined ? {} : { expires_in: seconds }),
  }
}

function isSaid(value: unknown): boolean {
  return value !== undefined && value !== null && value !== ''
}

/** A life in seconds; undefined where none is told, or none that a token could have. */
function secondsOf(value: unknown): number | undefined {
  const seconds = typeof value === 'string' && /^\d{1,12}$/.test(value) ? Number(value) : value
  if (typeof seconds !== 'number' || !Number.isFinite(seconds)) return undefined
  return seconds > 0 && seconds <= TEN_YEARS_IN_SECONDS ? Math.floor(seconds) : undefined
}

/** RFC 7009 §2.2: a 200 is all there is to say; what is in it is of no account. */
export const revocationAnswer: Judge = (answer) => {
  refuseTrouble(answer)
  if (answer.status === 200) return { status: 200, body: {} }
  const body = answer.type === 'application/json' ? readable(answer) : {}
  if (isObject(body) && typeof body['error'] === 'string' && body['error'] !== '') return error(body['error'])
  throw unexplained(answer)
}
