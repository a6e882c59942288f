import { ValetkeyError } from '#client'
import { type Caller, INSTALLATION, isOwner } from '../../model/caller.ts'
import type { Provider } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import type { RegistrationRow } from '../../model/storage.ts'
import type { Registered as Made, RegisterRequest, Registration } from '../../model/words.ts'
import { isSafe } from '../../protocol/server.ts'
import { behind, type Kit, unlessTampered } from '../kit.ts'
import { asksOf } from '../sign-ins/redirects.ts'
import { findProvider, waysHere } from '../sign-ins/sign-ins.ts'
import { clientTrouble, documentOf } from './client-checks.ts'
import {
  cameAlong,
  issuerAt,
  ownServerOf,
  putSealed,
  type Registered,
  type Terms,
  takeRegistered,
} from './clients.ts'
import { tryAgainSoon } from './marking.ts'
import { proofIn, proving } from './own-proof.ts'
import { givenBack } from './unregister.ts'

/** One registration an issuer; a new one takes the place of what was there, and keeps its id. */
export async function register(kit: Kit, caller: Caller, request: RegisterRequest): Promise<Made> {
  const passage = await kit.gate.pass(caller, 'register', { name: request.provider })
  return behind(
    passage,
    () => registerOwn(kit, findProvider(kit, request.provider), request),
    ({ checked }) => (checked ? 'the provider knows it' : 'not checked'),
  )
}

async function registerOwn(kit: Kit, named: Provider, request: RegisterRequest): Promise<Made> {
  const { vars = {}, insist = false, endpoints } = request
  if (endpoints !== undefined) return registerElsewhere(kit, named, request, endpoints)
  const provider = signedInTo(kit, named)
  const issuer = serverFor(kit, provider, vars)
  const client = clientIn(request)
  const proof = proofIn(request)
  const document = await documentOf(kit, provider, client)
  // Whoever insists keeps it whatever the provider says, so it is not asked.
  const isAsked = document === undefined && !insist
  const knows = isAsked
    ? await clientTrouble(kit, provider, vars, { ...client, ...proving(proof) })
    : undefined
  if (knows?.refused) throw knows.refused
  const how = document === undefined ? 'yours' : 'metadata-document'
  const draft = {
    provider: provider.id,
    issuer,
    how,
    ...client,
    terms: { ...document, ...(proof && { proof }) },
  } as const
  const { row, replaced } = await writeRegistration(kit, draft)
  if (replaced !== undefined && replaced.row.clientId !== row.clientId) await givenBack(kit, replaced)
  return { ...view(row), checked: document !== undefined || knows?.proved === true }
}

/** As the first way in sees it that a client of ours is for: its server may be apart from the rest. */
function signedInTo(kit: Kit, provider: Provider): Provider {
  const seen = waysHere(kit, provider).map(({ flow }) => findProvider(kit, provider.id, flow))
  return provider.oauth === undefined ? (seen.find(({ oauth }) => oauth !== undefined) ?? provider) : provider
}

/**
 * A client at a server that the provider's file does not know. It is no login of the vendor's, and what it is
 * issued goes where a key of this provider goes.
 */
async function registerElsewhere(
  kit: Kit,
  { id, name, signIns }: Provider,
  request: RegisterRequest,
  { authorize, token }: NonNullable<RegisterRequest['endpoints']>,
): Promise<Made> {
  if (!signIns.some(({ flow }) => kit.flows.get(flow)?.comesBack))
    throw new ValetkeyError('invalid-request', `${name} is not signed in to by a browser`, {
      hint: `valetkey connect ${id}`,
    })
  const endpoints = { authorize: authorize.href, token: token.href }
  const unfit = Object.entries(endpoints).find(([, link]) => !isSafe(link) || link.includes('#'))
  if (unfit !== undefined)
    throw new ValetkeyError('invalid-request', `the address given for ${unfit[0]} is not reached over https`)
  const issuer = ownServerOf({ id }, endpoints)
  const proof = proofIn(request)
  const terms = { endpoints, ...(proof && { proof }) }
  const draft = { provider: id, issuer, how: 'yours', ...clientIn(request), terms } as const
  const { row } = await writeRegistration(kit, draft)
  return { ...view(row), checked: false }
}

function clientIn({ clientId, clientSecret }: RegisterRequest) {
  const client = { clientId: clientId.trim(), clientSecret: given(clientSecret) }
  if (client.clientId === '') throw new ValetkeyError('invalid-request', 'a client needs its id')
  return client
}

interface Draft extends Pick<RegistrationRow, 'provider' | 'issuer' | 'how' | 'clientId'> {
  readonly clientSecret: Secret | undefined
  readonly terms: Terms
}

interface Written {
  readonly row: RegistrationRow
  readonly replaced: Registered | undefined
}

/** With `instead`, only in the place of that one or where there is none: throws `conflict` otherwise. */
export async function writeRegistration(
  kit: Kit,
  { clientSecret, terms, ...draft }: Draft,
  only?: { readonly instead: RegistrationRow | undefined },
): Promise<Written> {
  const mine = { owner: INSTALLATION, issuer: draft.issuer } as const
  return kit.storage.transaction('synced', async (rows) => {
    const there = await rows.get('registrations', mine)
    const old = there && cameAlong(there) ? undefined : there
    if (only !== undefined && old?.generation !== only.instead?.generation)
      throw new ValetkeyError('conflict', 'another client was registered at the same moment')
    const replaced = old && (await unlessTampered(takeRegistered(kit, rows, old)))
    const row: RegistrationRow = {
      ...mine,
      ...draft,
      id: old?.id ?? `reg-${kit.newId()}`,
      generation: (old?.generation ?? 0) + 1,
      createdAt: kit.now().getTime(),
      trouble: null,
    }
    await rows.remove('registrations', mine)
    await rows.insert('registrations', [row])
    await putSealed(kit, rows, row, { clientSecret, terms })
    if (there?.trouble) await tryAgainSoon(kit, rows, there)
    return { row, replaced }
  })
}

export async function listRegistrations(kit: Kit, caller: Caller): Promise<readonly Registration[]> {
  // Some were made on the spot for an account: whose they are says what is connected.
  if (!isOwner(caller)) return []
  const rows = await kit.storage.list('registrations', { owner: INSTALLATION }, { orderBy: 'createdAt' })
  return rows.map(view)
}

function serverFor(kit: Kit, provider: Provider, vars: Readonly<Record<string, string>>): string {
  const { id, name, oauth } = provider
  if (oauth === undefined)
    throw new ValetkeyError('invalid-request', `${name} is not signed in to by a client`, {
      hint: `valetkey connect ${id}`,
    })
  const asks = asksOf(provider)
  const unknown = Object.keys(vars).find((given) => provider.vars.every((one) => one.name !== given))
  const issuer = unknown === undefined ? issuerAt(kit, provider, vars) : undefined
  if (issuer !== undefined) return issuer
  if (unknown !== undefined)
    throw new ValetkeyError('invalid-request', `${name}: nothing is called ${unknown}`, {
      hint: asks.length === 0 ? 'leave it out' : `it asks for ${asks.map((ask) => ask.name).join(', ')}`,
    })
  if (asks.every((ask) => vars[ask.name] || ask.optional))
    throw new ValetkeyError('invalid-request', `${name}: no server has such an address`, {
      hint: asks.map(({ label, hint = '' }) => `${label}: ${hint}`).join('; '),
    })
  const told = asks.map((ask) => `--var ${ask.name}=… `).join('')
  throw new ValetkeyError('invalid-request', `${name}: it is not known yet which server this is for`, {
    hint: `valetkey register ${id} ${told}--client-id … --secret-stdin < secret.txt`,
  })
}

/** An empty secret is none, and what came along with a pasted one is cut off. */
function given(secret: Secret | undefined): Secret | undefined {
  const text = secret?.reveal().trim()
  return text ? new Secret(text) : undefined
}

function view({ id, provider, issuer, clientId, how, createdAt, trouble }: RegistrationRow): Registration {
  return { id, provider, issuer, clientId, how, createdAt: new Date(createdAt), trouble }
}
