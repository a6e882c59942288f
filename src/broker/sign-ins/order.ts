import { type PassedOver, ValetkeyError, type Way } from '#client'
import type { Provider, SignIn } from '../../model/provider.ts'
import type { FlowSessionRow } from '../../model/storage.ts'
import { findOwnServer } from '../clients/clients.ts'
import type { Kit } from '../kit.ts'
import { withInstead } from './failure.ts'
import { lackOfClient } from './lacking.ts'
import { refuseUnknown, wayOf, waysHere } from './sign-ins.ts'
import { refuseByVendor } from './vendor-policy.ts'

type Vars = Readonly<Record<string, string>>

/** What is known of where a sign-in is begun, as far as the way depends on it. */
export interface Here {
  /** The name by which the provider was asked for. */
  readonly named?: string
  readonly vars?: Vars
  /** The fields that were brought along; a way that asks for no such thing is passed over. */
  readonly brings?: readonly string[]
  readonly bringsKey?: boolean
  readonly noBrowser?: boolean
}

interface Chosen {
  readonly signIn: SignIn
  readonly passedOver: readonly PassedOver[]
}

/**
 * The first way that can work here, in the order of the provider's file. Where none can, the first that may be
 * tried at all says by itself what is missing.
 */
export async function firstWay(kit: Kit, provider: Provider, here: Here): Promise<Chosen> {
  const ways = waysHere(kit, provider)
  const passed: (PassedOver & { readonly signIn: SignIn; readonly error: ValetkeyError })[] = []
  for (const signIn of ways) {
    const error = await obstacleTo(kit, provider, signIn, here)
    if (error === undefined) return { signIn, passedOver: passed.map(shown) }
    // Whoever asks for it by its name hears that it is not to be had, and is not given something else.
    if (error.code === 'vendor-policy' && isCalled(signIn, here))
      throw withInstead(error, await nextWay(kit, { provider: provider.id, flow: signIn.flow }, here))
    passed.push({ ...wayOf(kit, signIn), why: error.message, hint: error.hint ?? null, signIn, error })
  }
  const [first] = passed.filter(({ error }) => error.code !== 'vendor-policy')
  if (first !== undefined) return { signIn: first.signIn, passedOver: [] }
  if (passed[0] !== undefined) throw passed[0].error
  throw new ValetkeyError('unknown-flow', `${provider.name} is not connected by anything known here`, {
    hint: 'valetkey providers',
  })
}

function shown({ flow, label, why, hint }: PassedOver): PassedOver {
  return { flow, label, why, hint }
}

/** Whoever is not the owner signs in again as before, so that they are offered nothing else. */
export function mayGoAnother({ purpose, caller, owner }: FlowSessionRow): boolean {
  return purpose === 'connect' || caller === owner
}

/** The way that comes after this one, or else the first of the others: a key is last of all. */
export async function nextWay(
  kit: Kit,
  { provider: id, flow }: { readonly provider: string; readonly flow: string },
  here: Pick<Here, 'noBrowser' | 'vars'>,
): Promise<Way | null> {
  const provider = kit.catalogue.find(id)
  if (provider === undefined) return null
  const ways = waysHere(kit, provider)
  const at = ways.findIndex((signIn) => signIn.flow === flow)
  // Ways of one name are the same login, whichever of them was asked for.
  const [named] = ways[at]?.called ?? []
  const where = named === undefined ? here : { ...here, named }
  for (const signIn of [...ways.slice(at + 1), ...ways.slice(0, Math.max(at, 0))])
    if ((await obstacleTo(kit, provider, signIn, where)) === undefined) return wayOf(kit, signIn)
  return null
}

/** Why a way cannot work here; undefined where nothing is known that stands against it. */
async function obstacleTo(
  kit: Kit,
  provider: Provider,
  signIn: SignIn,
  here: Here,
): Promise<ValetkeyError | undefined> {
  const own = kit.flows.get(signIn.flow)?.comesBack ? await findOwnServer(kit, provider) : undefined
  return (
    refusalOf(() => own === undefined && refuseUnnamed(kit, provider, signIn, here)) ??
    refusalOf(() => refuseUnfit(kit, provider, signIn, here)) ??
    refusalOf(() => refusePersonless(kit, provider, signIn, here)) ??
    // What is lacking everywhere is told before what is lacking only here.
    (own === undefined ? await lackOfClient(kit, provider, signIn, here) : undefined) ??
    refusalOf(() => refuseAway(kit, provider, signIn, here))
  )
}

function refuseUnnamed(kit: Kit, provider: Provider, signIn: SignIn, here: Here): void {
  refuseByVendor(kit, provider, signIn)
  if (signIn.policy?.stance !== 'tolerated' || isCalled(signIn, here)) return
  throw new ValetkeyError(
    'vendor-policy',
    `this way into ${provider.name} is taken only where it is asked for`,
    {
      hint: `valetkey connect ${signIn.called[0] ?? `${provider.id} --flow ${signIn.flow}`}`,
    },
  )
}

function isCalled({ called }: SignIn, { named }: Here): boolean {
  return named !== undefined && called.includes(named)
}

/** What was brought along shows which way is meant. */
function refuseUnfit(
  { flows }: Kit,
  provider: Provider,
  signIn: SignIn,
  { brings = [], bringsKey = false }: Here,
): void {
  const { takes = [] } = flows.get(signIn.flow) ?? {}
  refuseUnknown(
    provider,
    signIn,
    brings.filter((name) => !takes.includes(name)),
  )
  if (bringsKey && signIn.fields.length === 0)
    throw new ValetkeyError('invalid-request', 'it asks for no key, and one was brought along')
}

/** Nobody who means themselves is connected as a program: its client is brought along, or asked for by name. */
function refusePersonless(
  kit: Kit,
  provider: Provider,
  signIn: SignIn,
  { brings = [], bringsKey = false }: Here,
): void {
  if (bringsKey || !isBesidePersons(kit, provider, signIn)) return
  const persons = provider.signIns.filter(({ flow }) => !kit.flows.get(flow)?.forPrograms)
  const theirs = persons.flatMap(({ fields }) => fields.map(({ name }) => name))
  const own = signIn.fields.filter(({ name }) => !theirs.includes(name))
  if (own.some(({ name }) => brings.includes(name))) return
  throw new ValetkeyError('invalid-request', 'it is for a program, with no person behind it', {
    hint: `valetkey connect ${provider.id} --flow ${signIn.flow}`,
  })
}

/** A program's own client, at a provider where persons sign in as well. */
export function isBesidePersons({ flows }: Kit, { signIns }: Provider, { flow }: SignIn): boolean {
  return flows.get(flow)?.forPrograms === true && signIns.some((one) => !flows.get(one.flow)?.forPrograms)
}

function refuseAway({ flows }: Kit, { id }: Provider, { flow }: SignIn, { noBrowser = false }: Here): void {
  if (!noBrowser || !flows.get(flow)?.comesBack) return
  throw new ValetkeyError('browser-unavailable', 'it needs a browser on this computer', {
    hint: `valetkey connect ${id} --flow ${flow}, where there is a browser`,
  })
}

function refusalOf(judge: () => unknown): ValetkeyError | undefined {
  try {
    judge()
    return undefined
  } catch (error) {
    if (error instanceof ValetkeyError) return error
    throw error
  }
}
