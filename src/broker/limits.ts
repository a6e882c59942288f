import { type Limits, type May, ValetkeyError } from '#client'
import type { Caller, CallerId } from '../model/caller.ts'
import type { HeldTo, Passage } from '../model/gate.ts'
import type { AccountRow, Rows } from '../model/storage.ts'
import { addressOf } from './accounts.ts'
import { type Asked, straying } from './forwarding/requests.ts'
import type { Kit } from './kit.ts'
import { notConnected } from './kit.ts'
import { BUDGET_DAY, type UsageKey } from './usage.ts'

/** One use, and all that holds it. */
interface Use {
  readonly kit: Kit
  readonly caller: Caller
  readonly account: AccountRow
  readonly verb: Exclude<May, 'connect'>
  readonly asked: Asked | undefined
}

/** Gives back what was counted for a use that came to nothing. */
export type GiveBack = () => Promise<void>

const nothing: GiveBack = async () => {}

/**
 * Throws where one of the limits that hold does not let this use pass: all of them are judged before
 * any of them counts it. What is lent is out of our hands, so whoever is held to certain requests is lent nothing.
 */
export async function holdTo(
  kit: Kit,
  caller: Caller,
  { limits = [], account }: Passage,
  verb: Use['verb'],
  asked?: Asked,
): Promise<GiveBack> {
  if (limits.length === 0) return nothing
  if (account === undefined) throw notConnected(caller.id)
  const use = { kit, caller, account, verb, asked }
  for (const { limits: each } of limits) {
    judgeHours(use, each)
    judgeRequest(use, each)
  }
  for (const each of limits) judgeRate(use, each)
  for (const each of limits) countRate(use, each)
  const counted: GiveBack[] = []
  try {
    for (const each of limits) counted.push(await countBudget(use, each))
  } catch (error) {
    for (const back of counted) await back()
    throw error
  }
  return async () => {
    for (const back of counted) await back()
  }
}

function judgeHours({ kit, caller, account }: Use, { hours }: Limits): void {
  if (hours === undefined) return
  const { from, to } = hours
  const now = timeOfDay(kit.now())
  const isOpen = from < to ? from <= now && now < to : from <= now || now < to
  if (isOpen) return
  const message = `${caller.id} may use ${addressOf(account)} from ${from} to ${to}, and it is ${now}`
  throw new ValetkeyError('not-allowed', message, { hint: `try again at ${from}` })
}

/** By the clock on the wall of where the broker runs. */
function timeOfDay(at: Date): string {
  return [at.getHours(), at.getMinutes()].map((part) => String(part).padStart(2, '0')).join(':')
}

function judgeRequest({ caller, account, verb, asked }: Use, { only }: Limits): void {
  if (only === undefined) return
  const address = addressOf(account)
  if (asked === undefined) {
    const message = `${caller.id} may make certain requests at ${address}, so its credential is not handed out`
    throw new ValetkeyError('not-allowed', message, { hint: `valetkey forward ${address} ${only[0]}` })
  }
  const why = straying(only, asked)
  if (why === undefined) return
  const message = `${caller.id} may make certain requests at ${address}, and this one ${why}`
  throw new ValetkeyError('not-allowed', message, { hint: `it may ${verb}: ${only.join(', ')}` })
}

/** The uses of some time, in parts of it: a part counts for as long as any moment of it does. */
interface Window {
  readonly parts: { readonly at: number; uses: number }[]
  uses: number
}

export type Windows = Map<string, Window>

const PARTS = 500
const MOST_WINDOWS = 10_000

function judgeRate({ kit, caller, account }: Use, held: HeldTo): void {
  const { rate } = held.limits
  if (rate === undefined) return
  const now = kit.monotonic()
  const { parts, uses } = windowOf(kit, account, held, rate.seconds * 1000, now)
  if (uses < rate.uses) return
  let over = uses - rate.uses + 1
  const last = parts.find((part) => {
    over -= part.uses
    return over <= 0
  })
  const waitMs = (last?.at ?? now) + partOf(rate.seconds * 1000) + rate.seconds * 1000 - now
  const most = `${rate.uses} in ${rate.seconds} seconds`
  const message = `${caller.id} has used ${addressOf(account)} as often as it may, ${most}`
  throw new ValetkeyError('rate-limited', message, { retryAfter: Math.max(1, Math.ceil(waitMs / 1000)) })
}

function countRate({ kit, account }: Use, held: HeldTo): void {
  const { rate } = held.limits
  if (rate === undefined) return
  const now = kit.monotonic()
  const lengthMs = rate.seconds * 1000
  const window = windowOf(kit, account, held, lengthMs, now)
  const at = Math.floor(now / partOf(lengthMs)) * partOf(lengthMs)
  const last = window.parts.at(-1)
  if (last?.at === at) last.uses += 1
  else window.parts.push({ at, uses: 1 })
  window.uses += 1
}

function partOf(lengthMs: number): number {
  return Math.max(1, lengthMs / PARTS)
}

function windowOf(
  { windows }: Kit,
  { id }: AccountRow,
  { key }: HeldTo,
  lengthMs: number,
  now: number,
): Window {
  const name = `${key} ${id}`
  const found = windows.get(name) ?? { parts: [], uses: 0 }
  const end = now - lengthMs - partOf(lengthMs)
  while (found.parts[0] !== undefined && found.parts[0].at <= end)
    found.uses -= found.parts.shift()?.uses ?? 0
  // The least recently used are the first to be forgotten, long after they could matter.
  windows.delete(name)
  windows.set(name, found)
  for (const [old] of windows) if (windows.size > MOST_WINDOWS) windows.delete(old)
  return found
}

/** Counted where it outlives this process, by the name of the limit and not by who uses it up. */
async function countBudget(use: Use, { key, limits: { budget } }: HeldTo): Promise<GiveBack> {
  if (budget === undefined) return nothing
  const { kit, account } = use
  const { owner, id: accountId } = account
  const row = { owner, accountId, caller: owner as CallerId, day: `${BUDGET_DAY}${key}` }
  const change = (times: number) => () =>
    kit.storage.transaction('soon', (rows) => countWithin(use, rows, { row, budget, times }))
  await again(change(1))
  return () => again(change(-1))
}

interface Counting {
  readonly row: UsageKey
  readonly budget: number
  readonly times: number
}

/** Another broker may count at the same moment: only what was read is counted on from. */
async function countWithin({ account }: Use, rows: Rows, { row, budget, times }: Counting): Promise<void> {
  const none = { lends: 0, forwards: 0, reveals: 0 }
  const before = await rows.get('usage', row)
  const { forwards } = before ?? none
  if (times > 0 && forwards >= budget)
    throw new ValetkeyError(
      'not-allowed',
      `${addressOf(account)} was used as often as it may be, ${budget} in all`,
      {
        hint: 'ask the owner to give it anew',
      },
    )
  const counted = { forwards: Math.max(0, forwards + times) }
  if (before === undefined) return rows.insert('usage', [{ ...row, ...none, ...counted }])
  if ((await rows.update('usage', { ...row, forwards }, counted)) === 0) throw counting(account)
}

function counting(account: AccountRow): ValetkeyError {
  return new ValetkeyError('conflict', `another use of ${addressOf(account)} was counted at the same moment`)
}

const TRIES = 5

async function again(work: () => Promise<void>): Promise<void> {
  for (let left = TRIES; ; left -= 1) {
    try {
      return await work()
    } catch (error) {
      if (left <= 1 || !(error instanceof ValetkeyError) || error.code !== 'conflict') throw error
    }
  }
}
