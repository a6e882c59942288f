import { ValetkeyError } from '#client'
import type { AccountRow } from '../model/storage.ts'
import { takeOutline, takeWhole, type Whole } from './grants.ts'
import { type Kit, unlessTampered } from './kit.ts'
import { owe } from './outbox/owed.ts'
import { end } from './renewing/ending.ts'

/** The field that an account keeps of the one that vouches for it. */
const VOUCHER = 'voucher'
const GONE = 'the account that vouched for this one is gone'

/**
 * What came to be by the word of these alone is over with them, and is ended at its provider as well. What
 * cannot be ended now is found to be over when it would be renewed.
 */
export async function endVouchedFor(kit: Kit, vouchers: readonly AccountRow[]): Promise<void> {
  const gone = new Set(vouchers.map(({ id }) => id))
  const status = { oneOf: ['connected', 'failing'] as const }
  for (const owner of new Set(vouchers.map((voucher) => voucher.owner)))
    for (const account of await kit.storage.list('accounts', { owner, status }))
      await endIfAmong(kit, account, gone).catch((error: unknown) => {
        if (!(error instanceof ValetkeyError)) throw error
      })
}

async function endIfAmong(kit: Kit, account: AccountRow, gone: ReadonlySet<string>): Promise<void> {
  const outline = await unlessTampered(takeOutline(kit, kit.storage, account))
  if (!outline?.kept.includes(VOUCHER)) return
  const whole = await takeWhole(kit, account)
  if (gone.has(whole.credential.kept[VOUCHER]?.reveal() ?? '')) await endOne(kit, whole)
}

async function endOne(kit: Kit, whole: Whole): Promise<void> {
  const owed = await kit.storage.transaction('synced', (rows) =>
    owe(kit, rows, whole.account, whole, kit.now().getTime()),
  )
  await end(kit, whole, GONE)
  kit.schedule.expect(owed.dueAt)
}
