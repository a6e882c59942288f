import { formatAddress } from '#client'
import type { Credential } from '../../model/credential.ts'
import { Secret } from '../../model/secret.ts'
import type { AccountRow, OutboxRow, Rows } from '../../model/storage.ts'
import { type Kit, unlessTampered } from '../kit.ts'
import { revealed, secrets } from '../sign-ins/answers.ts'
import type { Owed } from './upstream.ts'

/**
 * Whoever owes something to a provider has it here, with all that it takes to pay, until it is paid. Where
 * that is tried at once by whoever owes it, nobody else does so before `from`.
 */
export async function owe(
  kit: Kit,
  rows: Rows,
  account: Owed['account'] & Pick<AccountRow, 'id'>,
  grant: Owed['grant'],
  from: number,
): Promise<OutboxRow> {
  const { owner, id: accountId } = account
  const row: OutboxRow = {
    id: `owed-${kit.newId()}`,
    owner,
    kind: 'revoke',
    accountId,
    about: formatAddress(account),
    createdAt: kit.now().getTime(),
    dueAt: from,
    tries: 0,
    trouble: null,
  }
  await rows.insert('outbox', [row])
  await kit.vault.put(rows, placeOf(row), written({ account, grant }))
  return row
}

/** Undefined for what does not open any more, or was erased with its owner. */
export async function takeOwed(kit: Kit, row: OutboxRow): Promise<Owed | undefined> {
  const secret = await unlessTampered(kit.vault.take(kit.storage, placeOf(row)))
  return secret && read(secret)
}

/** It is paid, or never will be. */
export async function strike(kit: Kit, { owner, id }: OutboxRow): Promise<void> {
  await kit.storage.transaction('synced', async (rows) => {
    await rows.remove('outbox', { owner, id })
    await kit.vault.erase(rows, owner, id)
  })
}

function written({ account: { owner, provider, bucket, flow }, grant }: Owed): Secret {
  const { credential, profile, from } = grant
  const { worn, kept, ...rest } = credential
  const bare = { ...rest, worn: revealed(worn), kept: revealed(kept) }
  return new Secret(
    JSON.stringify({ account: { owner, provider, bucket, flow }, credential: bare, profile, from }),
  )
}

function read(secret: Secret): Owed {
  const { account, credential, profile, from } = JSON.parse(secret.reveal())
  const { worn, kept, expiresAt, grantEndsAt = null, idleEndsAt = null, ...rest } = credential
  const dates = {
    expiresAt: dated(expiresAt),
    grantEndsAt: dated(grantEndsAt),
    idleEndsAt: dated(idleEndsAt),
  }
  const whole: Credential = { ...rest, ...dates, worn: secrets(worn), kept: secrets(kept) }
  return { account, grant: { credential: whole, profile, from } }
}

function dated(text: string | null): Date | null {
  return text === null ? null : new Date(text)
}

/** Whose it was is part of the place: an entry that was moved to another account does not open. */
function placeOf({ owner, id: record, kind, accountId, about }: OutboxRow) {
  return { owner, record, field: 'owed', generation: 0, about: `${kind} ${accountId} ${about}` }
}
