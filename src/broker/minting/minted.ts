import type { Credential } from '../../model/credential.ts'
import type { Wish } from '../../model/mint.ts'
import type { AccountRow } from '../../model/storage.ts'
import type { Whole } from '../grants.ts'

/** More than these are not in use at once; then the oldest are minted anew. */
const MOST = 10_000

/** What was minted, as it is lent. */
interface Fresh {
  readonly credential: Credential
  readonly issuedAt: Date
}

interface Kept extends Fresh {
  readonly accountId: string
  /** By a clock that nobody sets. */
  readonly until: number
}

/**
 * What was minted and lives. It is written nowhere: it is gone when the vault is locked, the account is ended or
 * the process is.
 */
export interface Minted {
  /** That of this very generation of its account, with the end that its age tells. */
  find(of: AccountRow, wish: Wish): Fresh | undefined
  keep(of: AccountRow, wish: Wish, fresh: Fresh): void
  drop(of: AccountRow, wish: Wish): void
  /** Whether all that was minted since then, by whoever has this vault, and lives is here. */
  knowsAll(since: number): boolean
  /** All of an account's that live, of whatever generation. */
  of(accountId: string): readonly Credential[]
  forget(accountId: string): void
  forgetAll(): void
  /** One minting for all who wish the same at the same moment. */
  once(of: AccountRow, wish: Wish, mint: () => Promise<Whole>): Promise<Whole>
}

export function openMinted(now: () => Date, monotonic: () => number, isShared: boolean): Minted {
  const all = new Map<string, Kept>()
  const underWay = new Map<string, Promise<Whole>>()
  let knownSince = now().getTime()

  function sweep(): void {
    for (const [key, { until }] of all) if (until <= monotonic()) all.delete(key)
    for (const key of all.keys()) {
      if (all.size < MOST) return
      all.delete(key)
      knownSince = now().getTime()
    }
  }

  /** It is lent to nobody any more, and is ended with its account all the same. */
  function setAside(key: string): void {
    const kept = all.get(key)
    all.delete(key)
    if (kept !== undefined) all.set(`${key} ${kept.until}`, kept)
  }

  function alive({ until, credential }: Kept): Credential {
    const left = new Date(now().getTime() + until - monotonic())
    const end = credential.expiresAt
    return end !== null && left < end ? { ...credential, expiresAt: left } : credential
  }

  return {
    find(of, wish) {
      const kept = all.get(keyOf(of, wish))
      if (kept === undefined || kept.until <= monotonic()) return undefined
      return { credential: alive(kept), issuedAt: kept.issuedAt }
    },
    keep(of, wish, { credential, issuedAt }) {
      const leftMs = (credential.expiresAt?.getTime() ?? 0) - now().getTime()
      sweep()
      const until = monotonic() + leftMs
      setAside(keyOf(of, wish))
      all.set(keyOf(of, wish), { accountId: of.id, credential, issuedAt, until })
    },
    drop: (of, wish) => setAside(keyOf(of, wish)),
    knowsAll: (since) => !isShared && since > knownSince,
    of: (id) =>
      [...all.values()]
        .filter(({ accountId, until }) => accountId === id && until > monotonic())
        .map(({ credential }) => credential),
    forget(id) {
      for (const [key, { accountId }] of all) if (accountId === id) all.delete(key)
    },
    forgetAll() {
      all.clear()
      knownSince = now().getTime()
    },
    once(of, wish, mint) {
      const key = keyOf(of, wish)
      const before = underWay.get(key)
      if (before !== undefined) return before
      const minting = mint().finally(() => underWay.delete(key))
      underWay.set(key, minting)
      return minting
    },
  }
}

function keyOf({ id, generation }: AccountRow, wish: Wish): string {
  return `${id} ${generation} ${JSON.stringify(wish)}`
}
