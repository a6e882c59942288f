import type { Command } from 'commander'
import type { Grant, Limits, May } from '#client'
import { usage } from './failure.ts'
import { listOf, quoted, wholeNumber, writtenAddress } from './words.ts'

const MAY: readonly May[] = ['lend', 'forward', 'reveal', 'connect']
const MOST = 1_000_000_000
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }
const TIMES = new Map([
  [1, 'a second'],
  [60, 'a minute'],
  [3600, 'an hour'],
  [86_400, 'a day'],
])

/** The words by which every use is held to something; the same at every command that permits something. */
export interface LimitWords {
  readonly only?: readonly string[]
  readonly rate?: string
  readonly budget?: string
  readonly hours?: string
}

/** The words by which a caller is given something, account by account. */
export interface GrantWords extends LimitWords {
  readonly allow?: readonly string[]
}

export function limitOptions(command: Command): Command {
  return command
    .option('--only <request>', "only such requests: 'GET /repos/*', or a path for any method", each)
    .option('--rate <uses>', 'at most so many uses in a time, such as 60/m')
    .option('--budget <uses>', 'so many uses in all')
    .option('--hours <from-to>', 'only between these times of each day, such as 09:00-17:30')
}

export function grantOptions(command: Command): Command {
  return limitOptions(
    command.option(
      '--allow <account>',
      'an account, and which of forward, lend, reveal, connect: github/work:lend; else forward',
      each,
    ),
  )
}

/** What was allowed, with the limits at each of it. */
export function readGrants({ allow = [], ...words }: GrantWords): Grant[] {
  const limits = readLimits(words)
  return allow.map((text) => ({ ...grantIn(text), ...(limits !== undefined && { limits }) }))
}

/** Undefined where nothing was said. */
export function readLimits({ only, rate, budget, hours }: LimitWords): Limits | undefined {
  const limits = {
    ...(only !== undefined && { only: only.map(requestIn) }),
    ...(rate !== undefined && { rate: rateIn(rate) }),
    ...(budget !== undefined && { budget: wholeNumber(budget, 'a number of uses', 1, MOST) }),
    ...(hours !== undefined && { hours: hoursIn(hours) }),
  }
  return Object.keys(limits).length === 0 ? undefined : limits
}

/** What may be done, with the limits that hold it, as a person reads it: `lend, forward (60 uses a minute)`. */
export function heldInWords(what: string, limits: Limits | null | undefined): string {
  const held = limitsInWords(limits ?? {})
  return held.length === 0 ? what : `${what} (${held.join(', ')})`
}

function limitsInWords({ only = [], rate, budget, hours }: Limits): string[] {
  return [
    ...only,
    ...(rate === undefined
      ? []
      : [`${usesInWords(rate.uses)} ${TIMES.get(rate.seconds) ?? `in ${rate.seconds} s`}`]),
    ...(budget === undefined ? [] : [`${usesInWords(budget)} in all`]),
    ...(hours === undefined ? [] : [`from ${hours.from} to ${hours.to}`]),
  ]
}

function usesInWords(uses: number): string {
  return uses === 1 ? '1 use' : `${uses} uses`
}

/** Said twice, it counts twice. */
function each(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}

/** Forwarding where nothing else is said. */
function grantIn(text: string): Grant {
  const at = text.indexOf(':')
  const [account, verbs] = at === -1 ? [text, 'forward'] : [text.slice(0, at), text.slice(at + 1)]
  return { address: writtenAddress(account), may: listOf(verbs, MAY, 'something that may be allowed') }
}

function requestIn(text: string): string {
  const [, method, path] = /^(?:([a-z]{1,20}) +)?(\/[\x21-\x7e]{0,500})$/i.exec(text.trim()) ?? []
  if (path === undefined)
    throw usage(`${quoted(text)} is not a request`, "write it as 'GET /repos/*', or as a path alone")
  if (/\?[^/]*=/.test(path))
    throw usage(
      `${quoted(text)} has a query, and requests are told apart by their path`,
      'leave out the ? and all after it',
    )
  return method === undefined ? path : `${method.toUpperCase()} ${path}`
}

function rateIn(text: string): NonNullable<Limits['rate']> {
  const [, uses, amount = '1', unit = ''] = /^(\d{1,9})\/(\d{1,5})?([smhd])$/.exec(text.trim()) ?? []
  const seconds = Number(amount) * (SECONDS[unit] ?? 0)
  if (Number(uses) >= 1 && seconds >= 1 && seconds <= 86_400) return { uses: Number(uses), seconds }
  throw usage(`${quoted(text)} is not a rate`, 'write it as 60/m, 10/s or 100/5m; the time is at most a day')
}

function hoursIn(text: string): NonNullable<Limits['hours']> {
  const time = '([01]\\d|2[0-3]):([0-5]\\d)'
  const trimmed = text.trim()
  if (!new RegExp(`^${time}-${time}$`).test(trimmed))
    throw usage(`${quoted(text)} is no time of the day`, 'write it as 09:00-17:30')
  return { from: trimmed.slice(0, 5), to: trimmed.slice(6) }
}
