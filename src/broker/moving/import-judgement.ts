import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import { fits } from '../../model/provider/forms.ts'
import { wornFields } from '../../model/provider/worn.ts'
import type { Provider, SignIn } from '../../model/provider.ts'
import type { AccountRow } from '../../model/storage.ts'
import { wear } from '../../protocol/presentation.ts'
import { isRenewable } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { provenanceOf, providerOf } from '../provenance.ts'
import type { Arrival } from './import-record.ts'

const DAY_MS = 24 * 60 * 60_000
/** How far the clocks of two computers may be apart. */
const TOLERANCE_MS = DAY_MS
/** No grant lives longer by what its provider says of it. */
const LONGEST_LIFE_MS = 3660 * DAY_MS

interface Case extends Omit<Arrival, 'provider'> {
  readonly kit: Kit
  readonly account: AccountRow
  readonly provider: Provider
  readonly signIn: SignIn
  readonly renews: boolean
}

/** Why an account of an export is not taken in here, in words; undefined where nothing is wrong with it. */
export function flawOf(kit: Kit, account: AccountRow, arrival: Arrival): string | undefined {
  const provider = providerOf(kit, account, arrival.grant.profile)
  if (provider?.id !== account.provider) return `no provider is called ${account.provider} here`
  const signIn = provider.signIns.find(({ flow }) => flow === account.flow)
  if (signIn === undefined || !kit.flows.has(account.flow))
    return `${provider.name} is not connected by ${account.flow} here`
  const renews = isRenewable(kit, account, arrival.grant.credential)
  const all = { ...arrival, kit, account, provider, signIn, renews }
  const [flaw] = [...flawsOfTimes(all), ...flawsOfGrant(all), ...flawsOfPlace(all)]
  return flaw
}

function* flawsOfTimes({ kit, connectedAt, grant: { credential, issuedAt } }: Case): Generator<string> {
  const now = kit.now().getTime()
  for (const [name, time] of Object.entries({ connectedAt, issuedAt }))
    if (!(time.getTime() <= now + TOLERANCE_MS)) yield `its ${name} lies in the future`
  const { expiresAt, grantEndsAt, idleEndsAt } = credential
  for (const [name, time] of Object.entries({ expiresAt, grantEndsAt, idleEndsAt }))
    if (time && !(time.getTime() <= now + LONGEST_LIFE_MS)) yield `its ${name} lies too far in the future`
  if (grantEndsAt && grantEndsAt.getTime() <= now) yield 'its grant is over'
}

/** What is over has nothing left that could be used, and nothing that could end. */
function* flawsOfGrant(all: Case): Generator<string> {
  if (all.over === undefined) {
    yield* flawsOfTokens(all)
    return yield* flawsOfFields(all)
  }
  const { worn, kept, expiresAt, grantEndsAt, idleEndsAt } = all.grant.credential
  if (Object.keys({ ...worn, ...kept }).length > 0) yield 'it is over, and has something to be used with'
  if (expiresAt ?? grantEndsAt ?? idleEndsAt) yield 'it is over, and says when it ends'
}

/** Which tokens may stand together, and what may be said of them. */
function* flawsOfTokens({ kit, account, grant: { credential }, renews, signIn }: Case): Generator<string> {
  const { standing, expiresAt, worn, kept } = credential
  const wears = Object.keys(worn).length > 0
  if (standing && expiresAt !== null) yield 'it says that it never dies, and when it does'
  if (!wears && (standing || !renews)) yield 'it has nothing that it could be used with'
  if (!standing && wears && expiresAt === null) yield 'it says that its access dies, and not when'
  if (!renews && expiresAt !== null && expiresAt <= kit.now())
    yield 'its access is over, and nothing renews it'
  const renewable = kit.flows.get(account.flow)?.refresh !== undefined
  if (!isKey(signIn) && !renewable && Object.keys(kept).length > 0)
    yield `it has something to be renewed with, and ${account.flow} renews nothing`
}

/** A key is what its provider asks for, field by field; what was issued is worn as the provider says. */
function* flawsOfFields({ provider, signIn, grant: { credential }, renews }: Case): Generator<string> {
  if (isKey(signIn)) yield* flawsOfKey(provider, signIn, credential)
  const used = usedIn(signIn)
  for (const name of Object.keys(credential.worn))
    if (!used.has(name)) yield `${provider.name} wears no ${name}`
  if (renews && Object.keys(credential.worn).length === 0) return
  const trouble = refusalOf(() => wear(signIn.present, provider.headers, credential))
  if (trouble !== undefined) yield trouble
}

function* flawsOfKey(provider: Provider, signIn: SignIn, { worn, kept }: Credential): Generator<string> {
  const used = usedIn(signIn)
  const names = [...Object.keys(worn), ...Object.keys(kept)]
  const unknown = names.find((name) => signIn.fields.every((field) => field.name !== name))
  if (unknown !== undefined) yield `${provider.name} asks for nothing called ${unknown}`
  for (const { name, label, optional, pattern } of signIn.fields) {
    const given = Object.entries(used.has(name) ? worn : kept).find(([held]) => held === name)?.[1]
    if (given === undefined && !optional) yield `its ${label} is missing`
    if (given !== undefined && pattern !== undefined && !fits(pattern, given.reveal()))
      yield `its ${label} does not look like one of ${provider.name}`
  }
}

/** What was issued for one address is taken to no other. */
function* flawsOfPlace({ kit, account, provider, grant, from }: Case): Generator<string> {
  const unplaced = refusalOf(() => kit.catalogue.destination(provider, grant.profile.vars))
  if (unplaced !== undefined) return yield unplaced
  const isOurs = kit.catalogue.isBuiltIn(provider.id)
  if (from === undefined) {
    if (!isOurs)
      yield `this export does not say where it went, and ${provider.id} is a provider of your own here`
    return
  }
  const here = provenanceOf(kit, account, grant.profile)
  const strange = here.origins.filter((origin) => !from.origins.includes(origin))
  // Our own files may gain hosts.
  const grown = isOurs && from.origins.every((origin) => here.origins.includes(origin))
  if (strange.length > 0 && !grown)
    yield `it went to ${from.origins.join(', ') || 'nowhere'}, and would go to ${strange.join(', ')} here`
  if (here.issuer !== from.issuer)
    yield `it was issued by ${from.issuer ?? 'nobody'}, and would be renewed at ${here.issuer ?? 'nobody'} here`
}

/** A person fills it in; nobody issues it. */
function isKey({ fields }: SignIn): boolean {
  return fields.some(({ secret }) => secret)
}

function usedIn({ present }: SignIn): ReadonlySet<string> {
  return new Set(present.flatMap(wornFields))
}

function refusalOf(attempt: () => unknown): string | undefined {
  try {
    attempt()
    return undefined
  } catch (error) {
    if (error instanceof ValetkeyError) return error.message
    throw error
  }
}
