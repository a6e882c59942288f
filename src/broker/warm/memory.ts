import { type Caller, isOwner } from '../../model/caller.ts'
import type { Credential } from '../../model/credential.ts'
import type { Standing } from '../../model/gate.ts'
import type { Catalogue, Provider } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import type { AccountRow, LeaseRow } from '../../model/storage.ts'
import type { Whole } from '../grants.ts'
import { providerOf } from '../provenance.ts'

/** More callers, accounts or leases than this are not in use at once; then it begins anew. */
const MOST = 10_000
/** By so much the computer's clock may have run apart from the one that only goes forward. */
const APART_MS = 1_000

/**
 * What uses were decided by, as it was read from the vault. It is as good as reading it again until something
 * of it is changed: every write to what it came from forgets all of it, before anybody hears of the write.
 */
export interface Memory {
  /** Which state of the vault this is. What was read in one is not kept in another. */
  moment(): number
  forget(): void
  standing(caller: Caller, address: string): Standing | undefined
  keepStanding(caller: Caller, address: string, standing: Standing, since: number): void
  /** The grant of this very generation; what renews it is not among it, only its names. */
  whole(of: AccountRow): Whole | undefined
  keepWhole(whole: Whole, since: number): void
  /** The lease that a use like this one shares. */
  lease(likeness: string): LeaseRow | undefined
  keepLease(likeness: string, lease: LeaseRow, since: number): void
  forgetLease(likeness: string): void
}

interface MemoryParts {
  readonly catalogue: Catalogue
  readonly now: () => Date
  readonly monotonic: () => number
}

interface KeptWhole {
  readonly whole: Whole
  /** A file of the owner's own may take its place. */
  readonly provider: Provider | undefined
  readonly at: number
  readonly monotonic: number
}

export function openMemory({ catalogue, now, monotonic }: MemoryParts): Memory {
  const standings = new Map<string, Standing>()
  const wholes = new Map<string, KeptWhole>()
  const leases = new Map<string, LeaseRow>()
  let moment = 0

  function keep<T>(where: Map<string, T>, key: string, value: T, since: number): void {
    if (since !== moment) return
    if (where.size >= MOST) where.clear()
    where.set(key, value)
  }

  return {
    moment: () => moment,
    forget() {
      moment += 1
      for (const kept of [standings, wholes, leases]) kept.clear()
    },
    standing(caller, address) {
      const standing = standings.get(`${keyOf(caller)} ${address}`)
      const until = standing?.binding?.until ?? null
      return until === null || until > now() ? standing : undefined
    },
    keepStanding(caller, address, standing, since) {
      if (standing.account !== undefined && (isOwner(caller) || standing.binding !== undefined))
        keep(standings, `${keyOf(caller)} ${address}`, standing, since)
    },
    whole({ id, generation }) {
      const kept = wholes.get(id)
      if (kept?.whole.account.generation !== generation) return undefined
      const apart = now().getTime() - kept.at - (monotonic() - kept.monotonic)
      const { account, profile } = kept.whole
      const isSame = kept.provider === providerOf({ catalogue }, account, profile)
      return isSame && Math.abs(apart) < APART_MS ? kept.whole : undefined
    },
    keepWhole(whole, since) {
      const { account, credential } = whole
      const provider = providerOf({ catalogue }, account, whole.profile)
      const times = { at: now().getTime(), monotonic: monotonic() }
      const shown = { ...whole, credential: withoutKept(credential) }
      keep(wholes, account.id, { whole: shown, provider, ...times }, since)
    },
    lease: (likeness) => leases.get(likeness),
    keepLease: (likeness, lease, since) => keep(leases, likeness, lease, since),
    forgetLease: (likeness) => void leases.delete(likeness),
  }
}

/** Several brokers write to one vault: there each looks for itself, every time. */
export function noMemory(): Memory {
  return {
    moment: () => 0,
    forget: () => {},
    standing: () => undefined,
    keepStanding: () => {},
    whole: () => undefined,
    keepWhole: () => {},
    lease: () => undefined,
    keepLease: () => {},
    forgetLease: () => {},
  }
}

const keys = new WeakMap<Caller, string>()

/** Who it is and how that was proved: what a caller may can depend on the program behind it. */
function keyOf(caller: Caller): string {
  const known = keys.get(caller)
  if (known !== undefined) return known
  const { owner, id, ...proved } = caller
  const key = JSON.stringify([owner, id, proved])
  keys.set(caller, key)
  return key
}

/** By these every use is proved, so they stay with it. */
function isOfUse(name: string, kept: Credential['kept']): boolean {
  return name === 'dpopKey' || (kept['certificate'] !== undefined && /^(certificate|privateKey)$/.test(name))
}

/** It says what there is to renew it by, and nothing of that: a renewal reads it anew. */
function withoutKept(credential: Credential): Credential {
  const shown = Object.entries(credential.kept).map(([name, secret]) => [
    name,
    isOfUse(name, credential.kept) ? secret : new Secret(''),
  ])
  return { ...credential, kept: Object.fromEntries(shown) }
}
