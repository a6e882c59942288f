import { ValetkeyError } from '#client'
import type { Changed, Storage, VaultRow } from '../model/storage.ts'
import type { KeySource } from '../model/vault.ts'
import { type HeldKey, holdKey, locked } from './held-key.ts'
import { proveMaster, readRemembered } from './master.ts'

/** What is looked at again when somebody else may have changed it. */
interface Remembering {
  master(): Promise<void>
  /** Data keys by their ids; all that are remembered unless told. */
  dataKeys(ids?: readonly string[]): Promise<void>
}

/** Follows what other brokers do to the vault. What cannot be looked at now is looked at when it is used. */
export function follow({ changes }: Storage, { master, dataKeys }: Remembering): void {
  function look(what: Changed | 'missed'): readonly Promise<void>[] {
    if (what === 'missed') return [master(), dataKeys()]
    if (what.own) return []
    if (what.table === 'vault') return [master()]
    return what.table === 'dataKeys' ? [dataKeys([what.record])] : []
  }

  changes?.((what) => void Promise.allSettled(look(what)))
}

/** The key that somebody else gave the vault, from where the one before it came. */
export async function newMaster(before: VaultRow, standing: VaultRow, source: KeySource): Promise<HeldKey> {
  refuseOtherSource(before, standing)
  const key = holdKey((await source.obtain(readRemembered(standing.remembered))).revealBytes())
  try {
    proveMaster(standing, key)
    return key
  } catch (error) {
    key.forget()
    throw error
  }
}

/** Whoever can write a row does not choose whom we ask for a key. */
function refuseOtherSource(before: VaultRow, standing: VaultRow): void {
  const [one, other] = [before, standing].map(({ keySource, remembered }) =>
    JSON.stringify([keySource, readRemembered(remembered)['command']]),
  )
  if (one === other) return
  throw new ValetkeyError('locked', `it comes from another source now: ${standing.keySource}`)
}

/** Why a vault locked itself, for whoever asks it next. */
export function lockedOut(why: unknown): ValetkeyError {
  const { message, hint } = why instanceof ValetkeyError ? why : locked()
  return locked(
    `another broker gave the vault a new key, which cannot be had here: ${message}`,
    hint === undefined || hint.includes('vault unlock') ? undefined : `${hint}; then valetkey vault unlock`,
  )
}
