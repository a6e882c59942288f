import { ValetkeyError } from '#client'
import type { Caller } from '../../model/caller.ts'
import type { Provider } from '../../model/provider.ts'
import type { FlowSessionRow, RegistrationRow } from '../../model/storage.ts'
import { readClientDocument } from '../../protocol/client-document.ts'
import { discover } from '../../protocol/discovery.ts'
import { type Registered, register, unregister } from '../../protocol/registration.ts'
import { refuseDowngrade } from '../../protocol/server.ts'
import { behind, type Kit } from '../kit.ts'
import { writeRegistration } from './registrations.ts'
import { givenBack } from './unregister.ts'

interface Wish {
  readonly issuer: string
  readonly redirectUri: string
  readonly scopes: readonly string[]
  /** What is over, and makes room for it. */
  readonly instead: RegistrationRow | undefined
}

/**
 * Where the operator has a public document that describes this client, and the server takes its address for an
 * id, that is kept as our client there. False where either is not so.
 */
export async function registerByDocument(
  kit: Kit,
  session: FlowSessionRow,
  provider: Provider,
  { issuer, instead }: Pick<Wish, 'issuer' | 'instead'>,
): Promise<boolean> {
  const { clientDocument: clientId } = kit
  if (clientId === undefined || provider.oauth?.issuer === undefined) return false
  const server = await discover(kit.network, issuer, { found: new Map(), now: kit.now })
  if (!server.clientDocuments) return false
  const passage = await kit.gate.pass(callerOf(session), 'register', { name: provider.id })
  return behind(
    passage,
    async () => {
      const terms = await readClientDocument(kit.network, clientId)
      const how = 'metadata-document'
      const draft = { provider: provider.id, issuer, how, clientId, clientSecret: undefined, terms } as const
      await writeRegistration(kit, draft, { instead })
      return true
    },
    () => 'by its document',
  )
}

/**
 * Registers a client of ours at a server that takes such wishes (RFC 7591), and keeps it before it is
 * used. False where somebody else did so at the same moment; then ours is given back.
 */
export async function registerOnTheSpot(
  kit: Kit,
  session: FlowSessionRow,
  provider: Provider,
  wish: Wish,
): Promise<boolean> {
  const passage = await kit.gate.pass(callerOf(session), 'register', { name: provider.id })
  return behind(
    passage,
    async () => {
      const made = await registered(kit, provider, wish)
      return keep(kit, provider, wish, made)
    },
    (kept) => (kept ? 'registered on the spot' : 'another one was faster'),
  )
}

function callerOf({ caller: id, owner }: FlowSessionRow): Caller {
  return { id, owner, proof: { door: 'broker' } }
}

async function registered(kit: Kit, { oauth, name }: Provider, wish: Wish): Promise<Registered> {
  if (oauth?.issuer === undefined)
    throw new ValetkeyError('provider-not-configured', `${name} names no issuer to register at`)
  const server = await discover(kit.network, wish.issuer, { found: new Map(), now: kit.now })
  refuseDowngrade(oauth, server)
  // What a server does not know would have it refuse the whole.
  const scopes = wish.scopes.filter((scope) => server.scopes?.includes(scope) ?? true)
  return register(kit.network, server, {
    name: 'Valetkey',
    redirectUris: [new URL(wish.redirectUri)],
    scopes,
    clientAuth: oauth.clientAuth,
  })
}

async function keep(
  kit: Kit,
  provider: Provider,
  { issuer, redirectUri, instead }: Wish,
  made: Registered,
): Promise<boolean> {
  const { clientId, clientSecret, secretExpiresAt, management } = made
  const terms = {
    redirectUri,
    ...(secretExpiresAt === null ? {} : { secretExpiresAt: secretExpiresAt.toISOString() }),
    ...(management && { management: { uri: management.uri, token: management.token.reveal() } }),
  }
  const draft = { provider: provider.id, issuer, how: 'dynamic', clientId, clientSecret, terms } as const
  try {
    const { replaced } = await writeRegistration(kit, draft, { instead })
    if (replaced !== undefined) await givenBack(kit, replaced)
    return true
  } catch (error) {
    await unregister(kit.network, made).catch(() => false)
    if (error instanceof ValetkeyError && error.code === 'conflict') return false
    throw error
  }
}
