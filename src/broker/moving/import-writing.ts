import type { Imported } from '#client'
import type { AccountRow, Rows } from '../../model/storage.ts'
import { type BindingTerms, putBinding } from '../bindings.ts'
import { putGrant, putInUse, takeOutline } from '../grants.ts'
import { type Kit, unlessTampered } from '../kit.ts'
import { writeAccount } from '../sign-ins/settle.ts'
import { tell } from '../telling.ts'
import { type Good, type Judged, rowOf } from './import-arrivals.ts'
import { bringClient } from './import-clients.ts'

/** What was written of an account that is good, and what came along with it. */
export interface Written extends Judged {
  readonly bound?: readonly string[]
  readonly brought?: boolean
}

/** One durable write for all of these; only then does anybody hear of it. */
export async function takeIn(
  kit: Kit,
  judged: readonly Judged[],
  replace: boolean,
): Promise<readonly Written[]> {
  const written = await kit.storage.transaction('synced', async (rows) => {
    const all: Written[] = []
    for (const one of judged) all.push(one.good ? await write(kit, rows, one.line, one.good, replace) : one)
    return all
  })
  for (const { good } of written) if (good !== undefined) await putToUse(kit, good)
  return written
}

/** What comes back as good was written. */
async function write(kit: Kit, rows: Rows, line: Imported, good: Good, replace: boolean): Promise<Written> {
  const { owner, provider, bucket } = good.account
  const here = await rows.list('accounts', { owner, provider, bucket })
  const there = here.find(({ status }) => status !== 'revoked')
  if (there !== undefined && !replace)
    return { line: { ...line, outcome: 'kept', why: 'it is connected here already' } }
  if (there !== undefined) return replaceIn(kit, rows, line, good, there)
  return settle(kit, rows, line, good, undefined)
}

/** In place: id, bindings and history stay. Nothing is ended at the provider, since it may be the same grant. */
async function replaceIn(
  kit: Kit,
  rows: Rows,
  line: Imported,
  good: Good,
  there: AccountRow,
): Promise<Written> {
  const { account: seat, grant, over } = good
  const outline = await unlessTampered(takeOutline(kit, rows, there))
  const [before, after] = [outline?.profile.subject ?? null, grant.profile.subject]
  if (before !== null && after !== null && before !== after)
    return {
      line: { ...line, outcome: 'refused', why: `another account at ${seat.provider} is connected here` },
    }
  const isAlive = outline !== undefined && there.status !== 'needs-reauth'
  if (over !== undefined && isAlive)
    return {
      line: { ...line, outcome: 'kept', why: 'what is connected here is alive, and the imported is not' },
    }
  // What was renewed since is alive, and the imported one may have died of that.
  if (line.renews && isAlive && new Date(outline.issuedAt) > grant.issuedAt)
    return { line: { ...line, outcome: 'kept', why: 'what is connected here is newer' } }
  const account = rowOf(kit, seat, good, there)
  return settle(kit, rows, { ...line, outcome: 'replaced' }, { ...good, account }, there)
}

/** The client first: without it the account is of no use. */
async function settle(
  kit: Kit,
  rows: Rows,
  line: Imported,
  good: Good,
  there: AccountRow | undefined,
): Promise<Written> {
  const { account, grant, client, over } = good
  const brought = client !== undefined && (await bringClient(kit, rows, account.provider, client))
  await writeAccount(rows, account, there)
  await putGrant(kit, rows, account, grant)
  const bound = await bindAll(kit, rows, account, good.bindings)
  const notes = [
    ...(over === undefined ? [] : ['it has to be connected again']),
    ...(brought ? ['with its client'] : []),
    ...(bound.length === 0 ? [] : [`bound to ${bound.join(', ')}`]),
  ]
  const isNews = there?.status !== account.status
  return { line: { ...line, why: notes.join('; ') || null }, good: { ...good, isNews }, bound, brought }
}

/** What its owner has decided here goes before what they decided elsewhere. */
async function bindAll(
  kit: Kit,
  rows: Rows,
  account: AccountRow,
  bindings: readonly BindingTerms[],
): Promise<readonly string[]> {
  const { owner, id: accountId } = account
  const bound: string[] = []
  for (const terms of bindings) {
    const there = await rows.get('bindings', { owner, accountId, caller: terms.caller })
    if (there !== undefined) continue
    await putBinding(kit, rows, account, terms)
    bound.push(terms.caller)
  }
  return bound
}

async function putToUse(kit: Kit, { account, grant, over, isNews }: Good): Promise<void> {
  kit.accessTokens.forget(account.id)
  if (Object.keys(grant.credential.worn).length > 0) putInUse(kit, account, grant)
  kit.schedule.expect(account.dueAt)
  if (isNews) await tell(kit, over === undefined ? 'connected' : 'needs-reauth', account)
}
