import { formatAddress, ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { Flow, RevokedPiece } from '../../model/flow.ts'
import type { Provider } from '../../model/provider.ts'
import type { AccountRow } from '../../model/storage.ts'
import { type Kept, takeHolding, takeOutline } from '../grants.ts'
import { type Kit, unlessTampered } from '../kit.ts'
import { providerOf, refuseMoved, refuseOtherClient } from '../provenance.ts'
import { withAll } from '../referred.ts'
import { hurried } from '../renewing/hurried.ts'
import { flowContext } from '../sign-ins/sign-ins.ts'

/** For one credential, however many requests that takes. */
export const ASKED_WITHIN_MS = 20_000

/** What is to be ended at its provider, and all that it takes to ask for that. */
export interface Owed {
  readonly account: Pick<AccountRow, 'owner' | 'provider' | 'bucket' | 'flow'>
  readonly grant: Pick<Kept, 'credential' | 'profile' | 'from'>
}

/** Asks the provider to end it. What cannot be ended there is told, and stops nobody. */
export async function endUpstream(kit: Kit, { account, grant }: Owed): Promise<readonly RevokedPiece[]> {
  const provider = providerOf(kit, account, grant.profile)
  const flow = kit.flows.get(account.flow)
  if (provider === undefined || flow === undefined) return notEnded('this build knows no way to end it')
  try {
    refuseMoved(kit, account, grant.profile, grant.from)
    const other = await wouldEndToo(kit, { provider, flow }, { account, grant })
    if (other !== undefined)
      return notEnded(`${formatAddress(other)} might end at the provider along with it`)
    const context = await flowContext(kit, provider, account.flow, {
      fields: grant.profile.vars,
      ownServer: grant.profile.ownServer,
    })
    refuseOtherClient(account, grant.from, context.client)
    // What is not renewed is not asked about either, so nothing that lies elsewhere is needed for it.
    const credential =
      flow.refresh === undefined ? grant.credential : await withAll(kit, account, grant.credential)
    return await flow.revoke(hurried(context, ASKED_WITHIN_MS), credential)
  } catch (error) {
    return asked(error)
  }
}

interface Way {
  readonly provider: Provider
  readonly flow: Flow
}

export function notEnded(how: string): readonly RevokedPiece[] {
  return [{ what: 'credential', died: false, how }]
}

/** A request of ours ends it there, and no more than it. */
export function isEndedAlone({ catalogue, flows }: Kit, { provider, flow }: Owed['account']): boolean {
  const revoke = catalogue.find(provider, flow)?.revoke
  if (revoke === undefined || revoke.how === 'console') return false
  return revoke.alone && flows.get(flow)?.endsAlone !== true
}

/** What passes, and what nobody has thought of, is worth another try. */
function asked(error: unknown): readonly RevokedPiece[] {
  if (!(error instanceof ValetkeyError))
    return [{ what: 'credential', died: false, how: 'the provider could not be asked', again: {} }]
  const { message: how, retryable, retryAfter } = error
  if (!retryable) return notEnded(how)
  const again = retryAfter === undefined ? {} : { after: retryAfter }
  return [{ what: 'credential', died: false, how, again }]
}

/** Some servers end all that one person gave one client. What is in use is not taken away by that. */
async function wouldEndToo(kit: Kit, { provider, flow }: Way, owed: Owed): Promise<AccountRow | undefined> {
  if (flow.endsAlone || provider.revoke.how === 'console') return undefined
  const { alone } = provider.revoke
  if (alone && !wasNeverKept(owed)) return undefined
  const { owner } = owed.account
  const status = { oneOf: ['connected', 'failing'] as const }
  for (const account of await kit.storage.list('accounts', { owner, provider: provider.id, status }))
    if (await (alone ? hasTheSame(kit, account, owed) : isSamePersons(kit, account, owed))) return account
  return undefined
}

/** It was issued in a sign-in that came to nothing. */
function wasNeverKept({ grant }: Owed): boolean {
  return grant.from.client === undefined
}

/** Some servers issue once more what they have issued before. */
async function hasTheSame(kit: Kit, other: AccountRow, { grant }: Owed): Promise<boolean> {
  const { grant: held } = await takeHolding(kit, other)
  const [ours, theirs] = [grant, held].map((one) => secretsOf(one?.credential))
  return theirs?.some((secret) => ours?.includes(secret)) ?? false
}

function secretsOf({ worn = {}, kept = {} }: Partial<Credential> = {}): readonly string[] {
  return Object.values({ ...worn, ...kept }).map((secret) => secret.reveal())
}

/** Where nobody said whose it is, the address has to do; what was never kept may be anybody's. */
async function isSamePersons(kit: Kit, other: AccountRow, owed: Owed): Promise<boolean> {
  const { account, grant } = owed
  const outline = await unlessTampered(takeOutline(kit, kit.storage, other))
  if (outline !== undefined && outline.from.issuer !== grant.from.issuer) return false
  const [one, another] = [outline?.profile.subject ?? null, grant.profile.subject]
  if (one !== null && another !== null) return one === another
  return wasNeverKept(owed) || other.bucket === account.bucket
}
