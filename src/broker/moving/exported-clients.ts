import { INSTALLATION } from '../../model/caller.ts'
import type { Profile } from '../../model/credential.ts'
import { Secret } from '../../model/secret.ts'
import type { AccountRow } from '../../model/storage.ts'
import type { ExportedRecord } from '../../vault/export-document.ts'
import { broughtAlong, findRegistered, isByClient, issuerAt, type Registered } from '../clients/clients.ts'
import { type Kit, unlessTampered } from '../kit.ts'
import { providerOf } from '../provenance.ts'

interface Needed {
  readonly clientId: string | null
  readonly registered: Registered | undefined
}

const NONE: Needed = { clientId: null, registered: undefined }

/** Who an account was issued to: at nobody else's hands is it renewed, or ended at its provider. */
export async function clientNeeded(kit: Kit, account: AccountRow, profile: Profile): Promise<Needed> {
  const provider = providerOf(kit, account, profile)
  const { vars, ownServer } = profile
  if (provider === undefined || (provider.oauth ?? ownServer) === undefined || !isByClient(kit, account.flow))
    return NONE
  const opening = findRegistered(kit, ownServer ?? issuerAt(kit, provider, vars))
  const opened = await unlessTampered(opening.then((found) => ({ found })))
  if (opened === undefined) return NONE
  const client = opened.found?.client ?? broughtAlong(kit, provider)
  return { clientId: client?.clientId ?? null, registered: opened.found }
}

/** It belongs to its issuer: nobody else is shown its secret. */
export function clientRecord({ row, client, terms }: Registered): ExportedRecord {
  const { redirectUri = null, secretExpiresAt = null, management, endpoints, proof } = terms
  return {
    owner: INSTALLATION,
    record: row.id,
    about: row.issuer,
    fields: {
      ...(client.clientSecret && { clientSecret: client.clientSecret }),
      ...(proof && { privateKey: new Secret(proof.privateKey) }),
      ...(proof?.certificate !== undefined && { certificate: new Secret(proof.certificate) }),
      ...(management && { managementToken: new Secret(management.token) }),
    },
    plain: {
      clientId: row.clientId,
      how: row.how,
      createdAt: row.createdAt,
      redirectUri,
      secretExpiresAt,
      managementUri: management?.uri ?? null,
      ...(endpoints && { authorizeAt: endpoints.authorize, tokenAt: endpoints.token }),
    },
  }
}
