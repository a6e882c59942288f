import { type Decision, type May, ValetkeyError } from '#client'
import type { Caller, OwnerId } from '../../model/caller.ts'
import type { Standing } from '../../model/gate.ts'
import type { AccountRow, Rows } from '../../model/storage.ts'
import type { Ask } from '../../model/words.ts'
import { addressOf, findAccount } from '../accounts.ts'
import { boundTo, putBinding } from '../binding-rows.ts'
import { isNarrowed } from '../keys/line.ts'
import { behind, type Kit, notConnected } from '../kit.ts'
import { standing } from '../standing.ts'
import { refuseAbove } from './above.ts'
import { type Asking, isCurrent, readAsking, type Terms, viewAsk, writeAsking } from './rows.ts'
import { noSuchAsk, wake } from './waiting.ts'

const TEN_MINUTES_MS = 10 * 60_000

/** What the owner says. It is good for the account that is there now, and for the program that asked. */
export async function decide(kit: Kit, caller: Caller, id: string, decision: Decision): Promise<Ask> {
  const passage = await kit.gate.pass(caller, 'decide', { name: id })
  return behind(
    passage,
    async () => {
      const { owner } = caller
      const found = await kit.storage.get('asks', { owner, id })
      const pending = await readPending(kit, kit.storage, owner, id)
      const asker: Caller = { id: pending.row.caller, owner, proof: caller.proof }
      const stands = await standing(kit, asker, { address: pending.terms.address })
      if (decision !== 'no') await refuseAbove(kit, asker, { ...pending.terms, account: stands.account })
      const decided = await kit.storage.transaction('synced', (rows) =>
        settle(kit, rows, { owner, id, decision, stands }),
      )
      const seen = viewAsk(decided, kit.now())
      kit.happenings.tellAsk(owner, 'decided', seen)
      wake(kit, found?.id ?? id)
      return seen
    },
    ({ caller: asker, may, address, reason }) =>
      `${decision}: ${asker}, ${may.join(', ')} ${address} (${reason})`,
  )
}

interface Settling {
  readonly owner: OwnerId
  readonly id: string
  readonly decision: Decision
  /** How the one who asked stands there without this. */
  readonly stands: Standing
}

async function settle(kit: Kit, rows: Rows, { owner, id, decision, stands }: Settling): Promise<Asking> {
  const { row, terms } = await readPending(kit, rows, owner, id)
  const now = kit.now().getTime()
  const soon = now + TEN_MINUTES_MS
  const write = (more: Pick<Terms, 'state' | 'until' | 'accountId'>) =>
    writeAsking(kit, rows, { ...row, decidedAt: now }, { ...terms, ...more, decision })
  if (decision === 'no') return write({ state: 'refused', until: soon, accountId: null })
  const account = await findAccount(kit, rows, owner, terms.address)
  if (account === undefined) throw notConnected(terms.address)
  await bindAsDecided(kit, rows, account, { row, terms }, decision, stands)
  const until = decision === 'always' ? null : soon
  return write({ state: 'allowed', until, accountId: account.id })
}

/**
 * For good, a binding is made or made wider, and remembers the program. For a while, whoever has none gets
 * one that is soon over; what is there already stays as it is, and what was decided stands beside it.
 */
async function bindAsDecided(
  kit: Kit,
  rows: Rows,
  account: AccountRow,
  { row: { caller }, terms: { may, program } }: Asking,
  decision: Exclude<Decision, 'no'>,
  stands: Standing,
): Promise<void> {
  const bound = await boundTo(kit, rows, { owner: account.owner, id: caller }, account)
  const own = bound?.binding
  const isMade = isNarrowed(caller)
  if (decision !== 'always' && (isMade ? isAmong(may, stands) : own !== undefined)) return
  if (decision !== 'always' && own !== undefined) throw needsAnAnswerForGood(caller, account)
  const others = own?.may.filter((verb) => !may.includes(verb)) ?? []
  const isLoosened = decision === 'always' && own?.asks === 'always' && others.length > 0
  if (isLoosened && own.until === null) throw asksEveryTime(caller, account, [...others, ...may])
  // What was allowed once before is not allowed for good by that: its permit is all that it has.
  const kept = isLoosened ? [] : others
  const until = decision === 'always' ? (own?.until?.getTime() ?? null) : kit.now().getTime() + TEN_MINUTES_MS
  const asks = decision === 'once' ? 'always' : isMade ? 'never' : 'first-use'
  await putBinding(kit, rows, account, {
    caller,
    may: [...kept, ...may],
    asks,
    ...(own?.limits && { limits: own.limits }),
    until,
    programs: decision === 'once' ? [] : [...new Set([...(bound?.programs ?? []), program])],
  })
}

/** Nothing has to be added: what is there is to be asked about, and that was done. */
function isAmong(may: readonly May[], { binding }: Standing): boolean {
  return may.every((verb) => binding?.may.includes(verb))
}

/** One binding of a caller cannot be both, for a while and for good. */
function needsAnAnswerForGood(caller: string, account: AccountRow): ValetkeyError {
  return new ValetkeyError('conflict', `${caller} has a binding at ${addressOf(account)} that lasts`, {
    hint: 'allow this always, or refuse it',
  })
}

/** One binding asks about all that it allows in one way. */
function asksEveryTime(caller: string, account: AccountRow, may: readonly May[]): ValetkeyError {
  const address = addressOf(account)
  return new ValetkeyError('conflict', `${caller} is asked about at every use of ${address}`, {
    hint: `valetkey bind ${caller} ${address} --may ${may.join(',')} --asks always`,
  })
}

async function readPending(kit: Kit, rows: Rows, owner: OwnerId, id: string): Promise<Asking> {
  const asking = await readAsking(kit, rows, await rows.get('asks', { owner, id }))
  if (asking === undefined) throw noSuchAsk()
  const { state, decision } = asking.terms
  if (state === 'pending' && isCurrent(asking, kit.now())) return asking
  const message =
    state === 'pending' || state === 'lapsed'
      ? 'nobody decided this in time, so it has lapsed'
      : `this was decided already: ${decision ?? state}`
  throw new ValetkeyError('conflict', message, { hint: 'valetkey asks' })
}
