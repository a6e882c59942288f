import { timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { VaultRow } from '../model/storage.ts'
import type { Remembered } from '../model/vault.ts'
import { associated, FORMAT_VERSION, LABELS, openBytes, sealBytes, tampered } from './envelope.ts'
import type { HeldKey } from './held-key.ts'

/** The known value under the master key: who opens it has the right key, and was told nothing false. */
const KNOWN = new TextEncoder().encode('valetkey')

type Standing = Pick<VaultRow, 'id' | 'masterId' | 'keySource' | 'remembered'>

function place({ id, masterId, keySource, remembered }: Standing): Uint8Array {
  return associated(LABELS.check, id, masterId, keySource, remembered)
}

export function checkFor(standing: Standing, master: HeldKey): Uint8Array {
  return master.use((bytes) => sealBytes(bytes, place(standing), KNOWN))
}

/** Throws `wrong-key` unless this is the key, and the vault says of it what it said when it was made. */
export function proveMaster(row: VaultRow, master: HeldKey): void {
  try {
    const found = master.use((bytes) => openBytes(bytes, place(row), row.check))
    if (found.length === KNOWN.length && timingSafeEqual(found, KNOWN)) return
  } catch (error) {
    if (!(error instanceof ValetkeyError) || error.code !== 'tampered') throw error
  }
  throw new ValetkeyError('wrong-key', 'this key does not open the vault', {
    hint: HINTS[row.keySource],
  })
}

const HINTS: Record<VaultRow['keySource'], string> = {
  passphrase: 'try the passphrase again: valetkey vault unlock',
  file: 'put the key file of this very vault back into the configuration folder',
  environment: 'set VALETKEY_KEY to the key that this vault was made with',
  command: 'see that the command unwraps with the key that it wrapped with',
}

export function refuseNewer(row: VaultRow): void {
  if (row.format > FORMAT_VERSION)
    throw new ValetkeyError('newer-schema', 'the vault was sealed by a newer valetkey', {
      hint: 'install the newest valetkey and start it again',
    })
}

/** One way of writing it, because its text is authenticated. */
export function writeRemembered(remembered: Remembered): string {
  const sorted = Object.entries(remembered).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify(Object.fromEntries(sorted))
}

const rememberedSchema = z.record(z.string(), z.union([z.string(), z.number()]))

export function readRemembered(text: string): Remembered {
  try {
    return rememberedSchema.parse(JSON.parse(text))
  } catch (error) {
    throw tampered(error)
  }
}
