import { setTimeout as pause } from 'node:timers/promises'
import { type AskRequest, formatAddress, type May, parseAddress, readPurpose, ValetkeyError } from '#client'
import { type Caller, programOf } from '../../model/caller.ts'
import { type Standing, VERBS_OF_A_BINDING } from '../../model/gate.ts'
import type { AskRow, Rows } from '../../model/storage.ts'
import type { Ask } from '../../model/words.ts'
import { findAccount, readAddress } from '../accounts.ts'
import { familyOf } from '../keys/line.ts'
import { behind, type Kit } from '../kit.ts'
import { refuseAbove } from './above.ts'
import { type Asking, isCurrent, readAsking, type Terms, viewAsk, writeAsking } from './rows.ts'

const PENDING_MS = 10 * 60_000
const MOST_OF_A_CALLER = 8
const MOST = 64
/** So long a broker that dies over it keeps the others from asking. */
const HELD_MS = 5_000
const TRY_AGAIN_MS = 20
const MOST_TRIES = 500

/** Asks the owner. Whether there is such an account the caller does not learn by it. */
export async function ask(kit: Kit, caller: Caller, request: AskRequest): Promise<Ask> {
  const passage = await kit.gate.pass(caller, 'ask', { address: request.address })
  return behind(
    passage,
    async () => {
      const wish = readWish(kit, request)
      if (wish.may.every((verb) => mayAlready(caller, passage, verb)))
        return viewAsk(await given(kit, caller, wish), kit.now())
      await refuseAbove(kit, caller, { ...wish, account: passage.account })
      return askFor(kit, caller, wish)
    },
    ({ id, state, may, reason }) => `${id}, ${state}: ${may.join(', ')} (${reason})`,
  )
}

export type Wish = Pick<Terms, 'address' | 'may' | 'reason'>

/** The same wish of the same program is one ask: pending, refused a while ago, or allowed and not used up. */
export async function askFor(kit: Kit, caller: Caller, wish: Wish): Promise<Ask> {
  const likeness = await likenessOf(kit, caller, wish)
  const who = kit.who(caller.proof)
  const { asking, isNew } = await inTurn(kit, caller, async (rows) => {
    // What was allowed for good stands in the binding, for as long as that lives.
    const before = await currentLike(kit, rows, caller, likeness, false)
    if (before !== undefined) return { asking: before, isNew: false }
    await refuseTooMany(kit, rows, caller)
    const until = kit.now().getTime() + PENDING_MS
    const program = programOf(caller)
    const open = { state: 'pending', decision: null, until, accountId: null } as const
    const asking = await writeAsking(kit, rows, newRow(kit, caller, likeness), {
      ...wish,
      ...open,
      who,
      program,
    })
    return { asking, isNew: true }
  })
  const seen = viewAsk(asking, kit.now())
  if (isNew) kit.happenings.tellAsk(caller.owner, 'asked', seen)
  return seen
}

/** What was asked or refused already and is not over. */
export async function askedAlready(kit: Kit, caller: Caller, wish: Wish): Promise<Ask | undefined> {
  const likeness = await likenessOf(kit, caller, wish)
  const before = await kit.storage.transaction('soon', (rows) =>
    currentLike(kit, rows, caller, likeness, false),
  )
  return before && viewAsk(before, kit.now())
}

/** Where there are several brokers, they look and write one after the other: the same is not asked twice. */
async function inTurn<R>({ storage }: Kit, { owner }: Caller, work: (rows: Rows) => Promise<R>): Promise<R> {
  if (!storage.shared) return storage.transaction('synced', work)
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const held = await storage.hold(owner, 'asks', HELD_MS)
    if (held !== undefined) return storage.transaction('synced', work).finally(() => held.release())
    await pause(TRY_AGAIN_MS)
  }
  throw tooMuch()
}

function readWish(kit: Kit, { address, may, reason }: AskRequest): Wish {
  if (may.length === 0 || may.some((verb) => !VERBS_OF_A_BINDING.includes(verb)))
    throw new ValetkeyError('invalid-request', `one may ask to ${VERBS_OF_A_BINDING.join(', ')}`)
  const why = readPurpose(reason)
  if (why === null) {
    throw new ValetkeyError('invalid-request', 'it was not said what this is for', {
      hint: 'say it in a few words; the owner reads them',
    })
  }
  const told = parseAddress(address) === undefined ? address : formatAddress(readAddress(kit, address))
  return { address: told, may: VERBS_OF_A_BINDING.filter((verb) => may.includes(verb)), reason: why }
}

/** Whoever may it already is not asked about. */
function mayAlready(caller: Caller, stands: Standing, verb: May): boolean {
  const { binding, programs = [], unasked = [] } = stands
  if (binding === undefined || !binding.may.includes(verb)) return false
  if (binding.asks === 'never' || unasked.includes(verb)) return true
  return binding.asks === 'first-use' && programs.includes(programOf(caller))
}

/** That it may already is an answer like any other. */
async function given(kit: Kit, caller: Caller, wish: Wish): Promise<Asking> {
  const likeness = await likenessOf(kit, caller, wish)
  const [who, program] = [kit.who(caller.proof), programOf(caller)]
  const done = { state: 'allowed', decision: 'always', until: null, accountId: null } as const
  return kit.storage.transaction('synced', async (rows) => {
    const before = await currentLike(kit, rows, caller, likeness, true)
    if (before !== undefined) return before
    return writeAsking(kit, rows, newRow(kit, caller, likeness), { ...wish, ...done, who, program })
  })
}

/** The one like this that is not over yet; what was allowed for another account than is there now is. */
async function currentLike(
  kit: Kit,
  rows: Rows,
  { owner, id }: Caller,
  likeness: string,
  isForGood: boolean,
): Promise<Asking | undefined> {
  for (const row of await rows.list('asks', { owner, caller: id, likeness })) {
    const before = await readAsking(kit, rows, row)
    if (before === undefined || !isCurrent(before, kit.now())) continue
    const { decision, accountId, address } = before.terms
    if ((decision === 'always') !== isForGood) continue
    const isSame = accountId === null || (await findAccount(kit, rows, owner, address))?.id === accountId
    if (isSame) return before
  }
  return undefined
}

/** Those that a caller made ask as one with it. */
async function refuseTooMany(kit: Kit, rows: Rows, { owner, id }: Caller): Promise<void> {
  const now = kit.now().getTime()
  const family = await familyOf(rows, { owner, id }, now)
  const pending = await rows.list('asks', { owner, state: 'pending', until: { atLeast: now + 1 } })
  const own = pending.filter(({ caller }) => family.has(caller))
  if (own.length < MOST_OF_A_CALLER && pending.length < MOST) return
  throw tooMuch()
}

function tooMuch(): ValetkeyError {
  return new ValetkeyError('resource-exhausted', 'the owner is asked too much already', {
    hint: 'wait until some of it is decided, or lapses',
  })
}

function newRow(kit: Kit, caller: Caller, likeness: string): Omit<AskRow, 'generation' | 'state' | 'until'> {
  const { owner, id } = caller
  const askedAt = kit.now().getTime()
  return { id: `ask-${kit.newId()}`, owner, caller: id, likeness, askedAt, decidedAt: null }
}

async function likenessOf(kit: Kit, caller: Caller, { address, may }: Wish): Promise<string> {
  const text = JSON.stringify([caller.owner, caller.id, caller.proof.executable ?? null, address, may])
  return Buffer.from(await kit.vault.mac('ask', Buffer.from(text))).toString('base64url')
}
