import { ValetkeyError } from '#client'
import type { OAuth, Shape } from '../model/provider.ts'
import { type Answer, type Judge, type Judged, refuseTrouble } from './ask.ts'
import { textAt, valueAt } from './pointer.ts'
import { isScope } from './scopes.ts'
import { strictObject } from './strict-json.ts'

const TEN_YEARS_IN_SECONDS = 10 * 365 * 24 * 60 * 60

export interface Expected {
  readonly answers: OAuth['answers']
  /** An ID token that nobody asked for is not looked at. */
  readonly idToken: boolean
  /** Where things are, where they are not where the standard has them. */
  readonly shape?: Shape | undefined
  /** By pointer: what else of the answer is read, as `told`. */
  readonly told?: readonly string[]
  /** Tokens were asked to be bound to a key (RFC 9449), and no others are taken. */
  readonly bound?: boolean | undefined
}

type Body = Readonly<Record<string, unknown>>

/** Judges what a token endpoint said. Only what is known is left of it: tokens, or the name of an error. */
export function tokenAnswer(expected: Expected): Judge {
  return (answer) => {
    refuseTrouble(answer)
    const body = bodyOf(answer, expected)
    const word = refusedWith(body, expected.shape)
    if (word !== undefined) return refusal(word, body)
    if (!isWell(answer, body, expected.shape)) throw unexplained(answer)
    const left = tokens(shaped(body, expected.shape), expected)
    const told = toldBy(body, expected)
    return { status: 200, body: told === undefined ? left : { ...left, told } }
  }
}

/** The word by which it refuses: where the standard has it, or where this server does. */
function refusedWith(body: Body, shape: Shape | undefined): string | undefined {
  const word = textAt(body, shape?.error) ?? body['error']
  if (!isWord(word)) return undefined
  return shape?.ok === undefined || valueAt(body, shape.ok) !== true ? word : undefined
}

function isWell({ status }: Answer, body: Body, shape: Shape | undefined): boolean {
  return status < 300 && (shape?.ok === undefined ? status === 200 : valueAt(body, shape.ok) === true)
}

/** The same with everything where the standard has it. What is not in its own place there may stand outside it. */
function shaped(body: Body, shape: Shape | undefined): Body {
  if (shape === undefined) return body
  const inside = shape.in === undefined ? undefined : valueAt(body, shape.in)
  const from = isObject(inside) ? inside : body
  const places = [
    ['access_token', shape.accessToken],
    ['refresh_token', shape.refreshToken],
    ['expires_in', shape.expiresIn],
    ['scope', shape.scope],
  ] as const
  const moved = places.flatMap(([name, at]) => (at === undefined ? [] : [[name, valueAt(from, at)] as const]))
  return { ...from, ...Object.fromEntries(moved), ...(shape.untyped ? { token_type: 'bearer' } : {}) }
}

function isObject(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function toldBy(body: Body, { told }: Expected): Readonly<Record<string, string>> | undefined {
  if (told === undefined || told.length === 0) return undefined
  return Object.fromEntries(
    told.flatMap((pointer) => {
      const value = textAt(body, pointer)
      return value === undefined ? [] : [[pointer, value]]
    }),
  )
}

function bodyOf(answer: Answer, { answers }: Expected): Body {
  if (answers === 'form' && answer.type === 'application/x-www-form-urlencoded') return form(answer.text)
  if (answer.type === 'application/json') return readable(answer)
  if (answer.status !== 200) throw unexplained(answer)
  throw new ValetkeyError('bad-answer', 'the provider answered with something else than JSON')
}

/**
 * A refusal in broken JSON is still a refusal, and says no more than its status. Of a yes that breaks off
 * in the middle the rest was lost.
 */
function readable(answer: Answer): Body {
  try {
    return strictObject(answer.text)
  } catch (error) {
    if (answer.status !== 200) throw unexplained(answer)
    throw /[}\]]\s*$/.test(answer.text) ? error : brokenOff()
  }
}

function brokenOff(): ValetkeyError {
  return new ValetkeyError('answer-lost', 'the answer of the provider broke off in the middle')
}

function form(text: string): Body {
  const params = new URLSearchParams(text)
  if (new Set(params.keys()).size !== params.size)
    throw new ValetkeyError('bad-answer', 'the answer says the same name twice')
  return Object.fromEntries(params)
}

/** Words of single vendors that say more of an error. */
const MORE_WORDS = ['suberror', 'error_subtype'] as const

/** Some servers refuse with a 200: in the words of the standard it is a 400. */
function refusal(error: string, body: Body = {}): Judged {
  const more = MORE_WORDS.flatMap((name) => (isWord(body[name]) ? [[name, body[name]] as const] : []))
  return { status: 400, body: { error, ...Object.fromEntries(more) } }
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function unexplained({ status }: Answer): ValetkeyError {
  if (status === 401)
    return new ValetkeyError('provider-not-configured', 'the provider does not know this client', {
      hint: 'check the client id and its secret',
    })
  return new ValetkeyError('bad-answer', `the provider answered ${status} without saying why`)
}

function tokens(body: Body, { idToken, bound = false }: Expected): Judged['body'] {
  const type = body['token_type']
  if (typeof type !== 'string' || type.toLowerCase() !== (bound ? 'dpop' : 'bearer'))
    throw new ValetkeyError(
      'bad-answer',
      bound
        ? 'the provider issued a token that is not bound to the key it was asked for with'
        : 'the provider issued a token of an unknown type',
    )
  const names = ['access_token', 'refresh_token', ...(idToken ? ['id_token'] : [])]
  const known = names.flatMap((name) => (isSaid(body[name]) ? [[name, body[name]] as const] : []))
  const seconds = secondsOf(body['expires_in'])
  return {
    ...Object.fromEntries(known),
    token_type: type,
    ...scopeOf(body['scope']),
    ...(seconds === undefined ? {} : { expires_in: seconds }),
    ...renewableFor(body),
  }
}

/**
 * Some servers write a list. What is neither that nor text tells no scopes, and costs nobody their tokens;
 * nor does a name in it that cannot be a scope's.
 */
function scopeOf(value: unknown): { readonly scope?: string } {
  const told = Array.isArray(value) ? value.filter((one) => typeof one === 'string').join(' ') : value
  const scope = typeof told === 'string' ? told.split(' ').filter(isScope).join(' ') : ''
  return scope === '' ? {} : { scope }
}

/** No standard has a name for it. */
const RENEWABLE_FOR = [
  'refresh_token_expires_in',
  'refresh_expires_in',
  'x_refresh_token_expires_in',
  'refresh_token_timeout',
] as const

/** How long the grant lives if it is not renewed, where the server tells. */
function renewableFor(body: Body): Readonly<Record<string, number>> {
  const seconds = RENEWABLE_FOR.map((name) => secondsOf(body[name])).find((told) => told !== undefined)
  return seconds === undefined ? {} : { [RENEWABLE_FOR[0]]: seconds }
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
  const body: Body = answer.type === 'application/json' ? readable(answer) : {}
  if (isWord(body['error'])) return refusal(body['error'])
  throw unexplained(answer)
}
