import { z } from 'zod'
import { ValetkeyError } from '#client'
import { INSTALLATION } from '../../model/caller.ts'
import type { Provider } from '../../model/provider.ts'
import type { Secret } from '../../model/secret.ts'
import type { RegistrationRow, Rows } from '../../model/storage.ts'
import { isSafe } from '../../protocol/server.ts'
import type { ExportedRecord } from '../../vault/export-document.ts'
import type { OpenedExport } from '../../vault/export-opening.ts'
import { clientOf, putSealed, type Terms } from '../clients/clients.ts'
import { usersOf } from '../clients/unregister.ts'
import { type Kit, unlessTampered } from '../kit.ts'
import { providerOf } from '../provenance.ts'
import type { Arrival } from './import-record.ts'

const LOOPBACK = /^http:\/\/(127\.0\.0\.1|localhost)(:\d{1,5})?\//
const FIELDS = ['clientSecret', 'privateKey', 'certificate', 'managementToken']

const schema = z.strictObject({
  clientId: z.string().min(1).max(2000),
  how: z.enum(['yours', 'dynamic', 'metadata-document']),
  createdAt: z.int().min(0),
  redirectUri: z.string().regex(LOOPBACK).nullable(),
  secretExpiresAt: z.iso.datetime().nullable(),
  managementUri: z.string().refine(isSafe).nullable(),
  authorizeAt: z.string().refine(isSafe).optional(),
  tokenAt: z.string().refine(isSafe).optional(),
})

/** A client of ours, as it was registered where the export comes from. */
export interface ArrivingClient extends Pick<RegistrationRow, 'issuer' | 'how' | 'clientId' | 'createdAt'> {
  readonly clientSecret: Secret | undefined
  readonly terms: Terms
}

export type ArrivingClients = ReadonlyMap<string, ArrivingClient>

/** In the first version there were none, and whatever else is the installation's is not for anybody. */
export function isClient({ owner }: ExportedRecord, { version }: Pick<OpenedExport, 'version'>): boolean {
  return version !== 1 && owner === INSTALLATION
}

/** By their issuer. One that cannot be read is none, and neither are two for one issuer. */
export function readClients(opened: OpenedExport): ArrivingClients {
  const records = opened.records.filter((record) => isClient(record, opened))
  const byIssuer = Map.groupBy(records, ({ about }) => about)
  const read = [...byIssuer].flatMap(([issuer, [first, second]]): [string, ArrivingClient][] => {
    const client = first && second === undefined ? readClient(first) : undefined
    return client === undefined ? [] : [[issuer, client]]
  })
  return new Map(read)
}

function readClient({ about: issuer, fields, plain }: ExportedRecord): ArrivingClient | undefined {
  const { data } = schema.safeParse(plain)
  const areKnown = Object.keys(fields).every((name) => FIELDS.includes(name))
  if (data === undefined || !areKnown) return undefined
  const { clientId, how, createdAt, redirectUri, secretExpiresAt, managementUri, authorizeAt, tokenAt } = data
  const { clientSecret, privateKey, certificate, managementToken }: Partial<Record<string, Secret>> = fields
  if (certificate !== undefined && privateKey === undefined) return undefined
  if ((managementUri === null) !== (managementToken === undefined)) return undefined
  if ((authorizeAt === undefined) !== (tokenAt === undefined)) return undefined
  // By its name a client at a server of the owner's own is told apart from all others.
  if (issuer.includes('#') !== (tokenAt !== undefined)) return undefined
  if (tokenAt !== undefined && !issuer.startsWith(`${tokenAt}#`)) return undefined
  const terms: Terms = {
    ...(redirectUri === null ? {} : { redirectUri }),
    ...(secretExpiresAt === null ? {} : { secretExpiresAt }),
    ...(privateKey && {
      proof: {
        privateKey: privateKey.reveal(),
        ...(certificate && { certificate: certificate.reveal() }),
      },
    }),
    ...(authorizeAt !== undefined &&
      tokenAt !== undefined && { endpoints: { authorize: authorizeAt, token: tokenAt } }),
    ...(managementUri !== null &&
      managementToken && { management: { uri: managementUri, token: managementToken.reveal() } }),
  }
  return { issuer, how, clientId, createdAt, clientSecret, terms }
}

/** What is to be said of the client that an account needs. */
interface Judgement {
  readonly flaw?: string
  /** The one that comes along, where it is to be written. */
  readonly brings?: ArrivingClient | undefined
}

/** A refresh token is of use to the client alone that it was issued to. */
export async function judgeClient(
  kit: Kit,
  { grant, from, provider: id, flow }: Arrival,
  renews: boolean,
  clients: ArrivingClients,
): Promise<Judgement> {
  const { vars, ownServer } = grant.profile
  const provider = providerOf(kit, { provider: id, flow }, grant.profile)
  if (provider === undefined || (provider.oauth ?? ownServer) === undefined) return {}
  const here = await unlessTampered(clientOf(kit, provider, vars, ownServer))
  const needed = from?.client ?? undefined
  if (here !== undefined && (needed === undefined || needed === here.clientId)) return {}
  const carried = clients.get(from?.issuer ?? '')
  if (
    carried !== undefined &&
    carried.clientId === needed &&
    (await isFree(kit, carried, here !== undefined))
  )
    return { brings: carried }
  return renews ? { flaw: flawOf(provider, needed, here?.clientId) } : {}
}

/** A client that came along gives way, unless somebody's account was issued to it. */
async function isFree(kit: Kit, { issuer }: ArrivingClient, hasOther: boolean): Promise<boolean> {
  const registered = await kit.storage.get('registrations', { owner: INSTALLATION, issuer })
  if (registered !== undefined) return false
  return !hasOther || (await usersOf(kit, { issuer })).length === 0
}

function flawOf({ name }: Provider, needed: string | undefined, here: string | undefined): string {
  if (here !== undefined)
    return `it was issued to the client ${needed}, and the one at ${name} here is ${here}`
  return `there is no client of ours at ${name} to renew it with${needed ? `; it was issued to ${needed}` : ''}`
}

/** False where the same one is here by now; throws `conflict` where another is. */
export async function bringClient(
  kit: Kit,
  rows: Rows,
  provider: string,
  { clientSecret, terms, ...client }: ArrivingClient,
): Promise<boolean> {
  const there = await rows.get('registrations', { owner: INSTALLATION, issuer: client.issuer })
  if (there?.clientId === client.clientId) return false
  if (there !== undefined)
    throw new ValetkeyError('conflict', `another client at ${provider} was registered at the same moment`)
  const row: RegistrationRow = {
    ...client,
    owner: INSTALLATION,
    id: `reg-${kit.newId()}`,
    provider,
    generation: 1,
    createdAt: Math.min(client.createdAt, kit.now().getTime()),
    trouble: null,
  }
  await rows.insert('registrations', [row])
  await putSealed(kit, rows, row, { clientSecret, terms })
  return true
}
