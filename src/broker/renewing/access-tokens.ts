import type { Credential } from '../../model/credential.ts'
import type { AccountRow } from '../../model/storage.ts'

type Of = Pick<AccountRow, 'id' | 'generation'>

interface Kept {
  readonly worn: Credential['worn']
  /** How long it still lives, by a clock that nobody sets. */
  readonly leftMs: number
}

/**
 * The access tokens that are in use. Those that can be had again are written nowhere else: they are gone
 * when the vault is locked, the account is ended or the process is. The age of each is measured by a clock
 * that only goes forward, so that none outlives its end because the computer's clock was set back.
 */
export interface AccessTokens {
  keep(of: Of, kept: Kept): Kept
  /** That of this very generation. */
  find(of: Of): Kept | undefined
  forget(accountId: string): void
  forgetAll(): void
}

export function accessTokens(monotonic: () => number): AccessTokens {
  const all = new Map<string, { generation: number; worn: Kept['worn']; until: number }>()

  function find({ id, generation }: Of): Kept | undefined {
    const there = all.get(id)
    if (there?.generation !== generation) return undefined
    return { worn: there.worn, leftMs: there.until - monotonic() }
  }

  return {
    keep({ id, generation }, { worn, leftMs }) {
      const there = all.get(id)
      // Whoever comes late with an older generation does not push out the newer one.
      if (there === undefined || there.generation <= generation)
        all.set(id, { generation, worn, until: monotonic() + leftMs })
      return { worn, leftMs }
    },
    find,
    forget: (id) => void all.delete(id),
    forgetAll: () => all.clear(),
  }
}
