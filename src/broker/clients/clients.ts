import { ValetkeyError } from '#client'
import { INSTALLATION } from '../../model/caller.ts'
import type { Client } from '../../model/flow.ts'
import type { Provider } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import type { RegistrationRow, Rows } from '../../model/storage.ts'
import { issuerOf, namedEndpoints } from '../../protocol/server.ts'
import type { Kit } from '../kit.ts'
import { isOpen } from '../sign-ins/redirects.ts'
import { type Proof, proving } from './own-proof.ts'

type Vars = Readonly<Record<string, string>>

/** What a registration brought besides an id and a secret; sealed in one piece. */
export interface Terms {
  /** The one address it was registered with. */
  readonly redirectUri?: string
  readonly secretExpiresAt?: string
  /** By what the client proves itself in the place of a secret. */
  readonly proof?: Proof
  /** By what the server lets us manage it (RFC 7592). */
  readonly management?: { readonly uri: string; readonly token: string }
  /** Where its owner signs in with it, where that is not where the provider's file says. */
  readonly endpoints?: { readonly authorize: string; readonly token: string }
}

/** A registration as it is kept, with all that is sealed of it. */
export interface Registered {
  readonly row: RegistrationRow
  readonly client: Client
  readonly terms: Terms
}

/**
 * By what a registration is known: the issuer of the authorization server, or else the endpoint that gets
 * to see the secret. What a provider lists as its choices are parts of one server; any other value of a
 * variable makes it another. Undefined while a value is missing.
 */
export function issuerAt(kit: Kit, provider: Provider, vars: Vars): string | undefined {
  const { oauth } = provider
  const open = provider.vars.filter(isOpen).flatMap(({ name }) => {
    const value = vars[name]
    return value === undefined ? [] : [[name, value]]
  })
  if (oauth === undefined) return undefined
  const { authorize: _, device: __, ...known } = oauth
  // Where a person is sent to is none of it, and is asked for when they are.
  const at = kit.catalogue.authority({ ...provider, oauth: known }, Object.fromEntries(open))
  return at && (issuerOf(oauth, at) ?? namedEndpoints(known, at).token)
}

/** Whether what a flow yields is issued to a client of ours, which renews it and ends it. */
export function isByClient({ flows }: Kit, flow: string): boolean {
  const known = flows.get(flow)
  return known !== undefined && !known.ownClient && (known.comesBack || known.refresh !== undefined)
}

/** By what a client at a server of the owner's own choice is known; two providers may have the same server. */
export function ownServerOf(
  { id }: Pick<Provider, 'id'>,
  { token }: NonNullable<Terms['endpoints']>,
): string {
  return `${token}#${id}`
}

/** By what the client of the owner's own is known that a provider is signed in to with, where there is one. */
export async function findOwnServer(kit: Kit, { id }: Provider): Promise<string | undefined> {
  const mine = { owner: INSTALLATION, provider: id, how: 'yours' } as const
  const rows = await kit.storage.list('registrations', mine, { orderBy: 'createdAt' })
  return rows.findLast(({ issuer }) => issuer.endsWith(`#${id}`))?.issuer
}

/** Our client at a provider: what is registered with its issuer, before one that came along. */
export async function clientOf(
  kit: Kit,
  provider: Provider,
  vars: Vars,
  ownServer?: string,
): Promise<Client | undefined> {
  const found = await findRegistered(kit, ownServer ?? issuerAt(kit, provider, vars))
  return found?.client ?? (ownServer === undefined ? broughtAlong(kit, provider) : undefined)
}

export async function findRegistered(kit: Kit, issuer: string | undefined): Promise<Registered | undefined> {
  if (issuer === undefined) return undefined
  const row = await kit.storage.get('registrations', { owner: INSTALLATION, issuer })
  return row && !cameAlong(row) ? takeRegistered(kit, kit.storage, row) : undefined
}

/** What its provider brought along is listed, and is whatever the provider brings at the time. */
export function cameAlong({ how }: Pick<RegistrationRow, 'how'>): boolean {
  return how === 'none' || how === 'shipped'
}

/** From its first use on it is a row like the others, on which trouble with it stands. */
export async function listAlong(kit: Kit, provider: Provider, issuer: string, client: Client): Promise<void> {
  const mine = { owner: INSTALLATION, issuer } as const
  const { registration, id } = provider
  const how = registration === 'none' ? 'none' : 'shipped'
  await kit.storage.transaction('soon', async (rows) => {
    const there = await rows.get('registrations', mine)
    if (there !== undefined && (!cameAlong(there) || there.clientId === client.clientId)) return
    await rows.remove('registrations', mine)
    const more = { id: `reg-${kit.newId()}`, generation: 1, createdAt: kit.now().getTime(), trouble: null }
    await rows.insert('registrations', [{ ...mine, ...more, provider: id, how, clientId: client.clientId }])
  })
}

/** Which client that is, without anything secret of it. */
export async function clientIdAt(
  kit: Kit,
  rows: Rows,
  provider: Provider,
  issuer: string,
): Promise<string | null> {
  const row = await rows.get('registrations', { owner: INSTALLATION, issuer })
  const registered = row && !cameAlong(row) ? row.clientId : undefined
  return registered ?? broughtAlong(kit, provider)?.clientId ?? null
}

export async function takeRegistered(kit: Kit, rows: Rows, row: RegistrationRow): Promise<Registered> {
  const clientSecret = await kit.vault.take(rows, sealedAt(row, 'clientSecret'))
  const sealed = await kit.vault.take(rows, sealedAt(row, 'terms'))
  if (sealed === undefined) throw changedOutside(row)
  const { confidential, ...terms } = readOutline(sealed)
  if (confidential !== (clientSecret !== undefined)) throw changedOutside(row)
  const redirectUri = terms.redirectUri === undefined ? undefined : new URL(terms.redirectUri)
  const { endpoints, proof } = terms
  const client = { clientId: row.clientId, clientSecret, redirectUri, endpoints, ...proving(proof) }
  return { row, client, terms }
}

/** Seals what belongs to a row that is written in the same transaction. */
export async function putSealed(
  kit: Kit,
  rows: Rows,
  row: RegistrationRow,
  { clientSecret, terms }: { readonly clientSecret: Secret | undefined; readonly terms: Terms },
): Promise<void> {
  await kit.vault.erase(rows, INSTALLATION, row.id)
  if (clientSecret !== undefined) await kit.vault.put(rows, sealedAt(row, 'clientSecret'), clientSecret)
  const outline: Outline = { ...terms, confidential: clientSecret !== undefined }
  await kit.vault.put(rows, sealedAt(row, 'terms'), new Secret(JSON.stringify(outline)))
}

/** Sealed beside the terms, so that no secret can be dropped unnoticed. */
type Outline = Terms & { readonly confidential: boolean }

function readOutline(sealed: Secret): Outline {
  return JSON.parse(sealed.reveal())
}

function changedOutside({ provider }: RegistrationRow): ValetkeyError {
  return new ValetkeyError('tampered', `the client at ${provider} was changed outside Valetkey`, {
    hint: `valetkey register ${provider} --client-id … --secret-stdin < secret.txt`,
  })
}

/** A file of the owner's own may lead elsewhere than ours of the same name, so ours brings it no client. */
export function broughtAlong({ catalogue, clients }: Kit, { id, oauth }: Provider): Client | undefined {
  if (catalogue.isBuiltIn(id) && Object.hasOwn(clients, id)) return clients[id]
  return oauth?.clientId === undefined ? undefined : { clientId: oauth.clientId, clientSecret: undefined }
}

/** Issuer and id are sealed along, so that no secret is shown at another server or with another's id. */
function sealedAt({ id, issuer, clientId, generation }: RegistrationRow, field: 'clientSecret' | 'terms') {
  const about = JSON.stringify([issuer, clientId])
  return { owner: INSTALLATION, record: id, field, generation, about }
}
