import { INSTALLATION } from '../../model/caller.ts'
import type { Profile } from '../../model/credential.ts'
import { Secret } from '../../model/secret.ts'
import type { AccountRow } from '../../model/storage.ts'
import type { ExportedRecord } from '../../vault/export-document.ts'
import { broughtAlong, findRegistered, isByClient, issuerAt, type Registered } from '../clients/clients.ts'
import { type Kit, unlessTampered } from '../kit.ts'

interface Needed {
  readonly clientId: string | null
  readonly registered: Registered | undefined
}

const NONE: Needed = { clientId: null, registered: undefined }

/** Who an account was issued to: at nobody else's hands is it renewed, or ended at its provider. */
export async function clientNeeded(kit: Kit, account: AccountRow, { vars }: Profile): Promise<Needed> {
  const provider = kit.catalogue.find(account.provider)
  if (provider?.oauth === undefined || !isByClient(kit, account.flow)) return NONE
  const opening = findRegistered(kit, issuerAt(kit, provider, vars))
  const opened = await unlessTampered(opening.then((found) => ({ found })))
  if (opened === undefined) return NONE
  const client = opened.found?.client ?? broughtAlong(kit, provider)
  return { clientId: client?.clientId ?? null, registered: opened.found }
}

/** It belongs to its issuer: nobody else is shown its secret. */
export function clientRecord({ row, client, terms }: Registered): ExportedRecord {
  const { redirectUri = null, secretExpiresAt = null, management } = terms
  return {
    owner: INSTALLATION,
    record: row.id,
    about: row.issuer,
    fields: {
      ...(client.clientSecret && { clientSecret: client.clientSecret }),
      ...(management && { managementToken: new Secret(management.token) }),
    },
    plain: {
      clientId: row.clientId,
      how: row.how,
      createdAt: row.createdAt,
      redirectUri,
      secretExpiresAt,
      managementUri: management?.uri ?? null,
    },
  }
}
