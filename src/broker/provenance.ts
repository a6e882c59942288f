import { formatAddress, ValetkeyError } from '#client'
import type { Profile } from '../model/credential.ts'
import type { Client } from '../model/flow.ts'
import type { Provider } from '../model/provider.ts'
import type { AccountRow, Rows } from '../model/storage.ts'
import { clientIdAt, issuerAt } from './clients/clients.ts'
import type { Kit } from './kit.ts'

/** Where a grant came from, sealed with it. */
export interface Provenance {
  readonly bucket: string
  readonly flow: string
  /** The provider's own origins at the time. */
  readonly origins: readonly string[]
  /** The authorization server, where there is one. */
  readonly issuer: string | null
  /** The client that it was issued to; left out where that was not kept. */
  readonly client?: string | null
}

type Whence = Pick<AccountRow, 'provider' | 'bucket' | 'flow'>

/** The provider as whoever came in that way sees it; by a client of the owner's own that is all of it. */
export function providerOf(
  { catalogue }: Pick<Kit, 'catalogue'>,
  { provider, flow }: Pick<AccountRow, 'provider' | 'flow'>,
  profile: { readonly ownServer?: string | undefined } | undefined,
): Provider | undefined {
  return catalogue.find(provider, profile?.ownServer === undefined ? flow : undefined)
}

export function provenanceOf(kit: Kit, account: Whence, profile: Profile): Provenance {
  const { bucket, flow } = account
  const provider = providerOf(kit, account, profile)
  if (provider === undefined) return { bucket, flow, origins: [], issuer: null }
  const { vars, ownServer } = profile
  const origins = kit.catalogue.destination(provider, vars).own
  return { bucket, flow, origins, issuer: ownServer ?? issuerAt(kit, provider, vars) ?? null }
}

/** The same with the client of ours that it is issued to, as it is registered at this moment. */
export async function wholeProvenance(
  kit: Kit,
  rows: Rows,
  account: AccountRow,
  profile: Profile,
): Promise<Provenance> {
  const from = provenanceOf(kit, account, profile)
  const provider = providerOf(kit, account, profile)
  const client = provider && from.issuer !== null ? await clientIdAt(kit, rows, provider, from.issuer) : null
  return { ...from, client }
}

/** A server takes what it gave to one client for dead in another's hands, and may end it for that. */
export function refuseOtherClient(account: Whence, { client: before }: Provenance, now?: Client): void {
  if (before === undefined || before === null || before === now?.clientId) return
  const address = formatAddress(account)
  throw new ValetkeyError(
    'provider-not-configured',
    `${address} was signed in to by another client of ours than the one that is registered now`,
    { hint: `valetkey reconnect ${address}` },
  )
}

/**
 * A file of the owner's own may lead elsewhere by now than when the account was connected. What was issued
 * for one address is not taken to another without anybody having been asked. Our own files may gain hosts.
 */
export function refuseMoved(kit: Kit, account: Whence, profile: Profile, from: Provenance): void {
  const now = provenanceOf(kit, account, profile)
  const strange = kit.catalogue.isBuiltIn(account.provider)
    ? undefined
    : now.origins.find((origin) => !from.origins.includes(origin))
  const moved = strange ?? (now.issuer === from.issuer ? undefined : (now.issuer ?? 'nowhere'))
  if (moved === undefined) return
  const address = formatAddress(account)
  const before = strange === undefined ? (from.issuer ?? 'nowhere') : from.origins.join(', ')
  throw new ValetkeyError(
    'host-not-allowed',
    `${address} was connected at ${before}, and now leads to ${moved}`,
    {
      hint: `if that is right: valetkey reconnect ${address}`,
    },
  )
}
