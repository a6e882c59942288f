import { ValetkeyError } from '#client'
import { type Caller, isOwnerId } from '../model/caller.ts'
import { type AccountRow, EVERY_OWNER } from '../model/storage.ts'
import type { Receipt } from '../model/words.ts'
import { addressOf } from './accounts.ts'
import { callersBoundTo } from './bindings.ts'
import { isOver } from './forwarding/streams.ts'
import { endAllCallers } from './keys/ending.ts'
import { accountOf, behind, type Kit, notConnected } from './kit.ts'
import { type Cut, cutOff } from './outbox/cutting.ts'
import {
  asSaid,
  inShort,
  isDead,
  putOnRecord,
  queued,
  type Told,
  tellNow,
  unreadable,
} from './outbox/outbox.ts'
import { stopWaiting } from './sign-ins/sessions.ts'
import { tell } from './telling.ts'
import { endVouchedFor } from './vouched-for.ts'

/** So many accounts are cut off in one transaction. */
const AT_ONCE = 100

/** Ends an account: here at once and for good, then at its provider, as soon as that can be told. */
export async function revoke(kit: Kit, caller: Caller, text: string): Promise<Receipt> {
  const passage = await kit.gate.pass(caller, 'revoke', { address: text })
  return behind(
    passage,
    async () => {
      const [receipt] = await endAccounts(kit, [accountOf(passage, text)])
      if (receipt === undefined) throw notConnected(text)
      return receipt
    },
    ({ lines }) => inShort(lines),
  )
}

/** All accounts of the owner. */
export async function revokeAll(kit: Kit, caller: Caller): Promise<readonly Receipt[]> {
  const passage = await kit.gate.pass(caller, 'revoke', { name: 'all accounts' })
  return behind(passage, () => endAllOf(kit, caller.owner), manyInShort)
}

/** All accounts of everybody, or of one owner, for whoever keeps the vault. */
export async function revokeEverything(
  kit: Kit,
  caller: Caller,
  owner?: string,
): Promise<readonly Receipt[]> {
  const name = `all accounts of ${owner ?? 'everybody'}`
  const passage = await kit.gate.pass(caller, 'revoke-everything', { name })
  return behind(passage, async () => endAllOf(kit, whoseOf(owner)), manyInShort)
}

function whoseOf(owner: string | undefined): AccountRow['owner'] | typeof EVERY_OWNER {
  if (owner === undefined) return EVERY_OWNER
  if (isOwnerId(owner)) return owner
  throw new ValetkeyError('invalid-request', 'this is not an owner', { hint: 'one is written person:ada' })
}

/** And every caller that was narrowed from somebody. Each account has a line of its own on the record. */
export async function endAllOf(
  kit: Kit,
  owner: AccountRow['owner'] | typeof EVERY_OWNER,
  patience?: number,
): Promise<readonly Receipt[]> {
  await endAllCallers(kit, owner)
  const rows = await kit.storage.list('accounts', { owner }, { orderBy: 'connectedAt' })
  const accounts = rows.filter(({ status }) => status !== 'revoked')
  const receipts = await endAccounts(kit, accounts, patience)
  const owners = new Map(accounts.map((account) => [account.id, account.owner]))
  await Promise.all(
    receipts.map(({ accountId, address: about, lines }) => {
      const whose = owners.get(accountId)
      return whose && putOnRecord(kit, { owner: whose, about }, lines)
    }),
  )
  return receipts
}

/** All of them are cut off before any provider is asked, so that none of them waits for another one's. */
async function endAccounts(
  kit: Kit,
  accounts: readonly AccountRow[],
  patience?: number,
): Promise<readonly Receipt[]> {
  const bound = new Map<string, readonly string[]>()
  for (const account of accounts) bound.set(account.id, await callersBoundTo(kit, account))
  const cuts: Cut[] = []
  for (let at = 0; at < accounts.length; at += AT_ONCE)
    cuts.push(...(await cutSome(kit, accounts.slice(at, at + AT_ONCE))))
  await endVouchedFor(
    kit,
    cuts.map(({ account }) => account),
  )
  for (const { account } of cuts) await tell(kit, 'revoked', account, bound.get(account.id) ?? [])
  const told = await tellNow(
    kit,
    cuts.flatMap(({ owed }) => owed),
    patience,
  )
  return cuts.map((cut) => receiptOf(kit, cut, told))
}

/** What somebody else has ended meanwhile is left out. */
async function cutSome(kit: Kit, accounts: readonly AccountRow[]): Promise<readonly Cut[]> {
  const cuts = await kit.storage.transaction('synced', async (rows) => {
    const cut: Cut[] = []
    for (const { owner, id } of accounts) {
      const present = await rows.get('accounts', { owner, id })
      if (present !== undefined && present.status !== 'revoked') cut.push(await cutOff(kit, rows, present))
    }
    return cut
  })
  for (const { account, sessions } of cuts) {
    forget(kit, account.id)
    for (const { id } of sessions) await stopWaiting(kit, id)
  }
  return cuts
}

function forget({ accessTokens, minted, readings, ...kit }: Kit, accountId: string): void {
  const { unwritten, troubles, streams } = kit
  streams.cut({ accountId }, isOver('the account was revoked'))
  accessTokens.forget(accountId)
  minted.forget(accountId)
  readings.forgetAll()
  unwritten.delete(accountId)
  troubles.delete(accountId)
}

function receiptOf(kit: Kit, cut: Cut, told: Told): Receipt {
  const { account, owed, isReadable, lent, isAllKnown, leasesEnded, bindingsEnded } = cut
  const lines = isReadable ? owed.flatMap(({ id }) => told.get(id) ?? [queued()]) : [unreadable()]
  return {
    accountId: account.id,
    address: addressOf(account),
    at: kit.now(),
    lines: asSaid(lines),
    livesOn: isAllKnown && isDead(lines) ? [] : lent,
    leasesEnded,
    bindingsEnded,
  }
}

function manyInShort(receipts: readonly Receipt[]): string {
  return `${receipts.length} accounts: ${inShort(receipts.flatMap(({ lines }) => lines))}`
}
