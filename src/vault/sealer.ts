import { createHmac, hkdfSync } from 'node:crypto'
import { ValetkeyError } from '#client'
import { INSTALLATION } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import type { Rows } from '../model/storage.ts'
import type { Place, Sealed, Vault } from '../model/vault.ts'
import type { DataKey, DataKeys } from './data-keys.ts'
import { associated, KEY_LENGTH, LABELS, openBytes, placeOf, sealBytes, tampered } from './envelope.ts'

/** What the sealer asks of its keeper; `keys` throws `locked` while the vault is. */
interface SealerKit {
  readonly id: () => string
  readonly locked: () => boolean
  readonly keys: () => DataKeys
}

function secretOf(bytes: Uint8Array): Secret {
  const secret = new Secret(bytes)
  bytes.fill(0)
  return secret
}

export function sealer({ id, locked, keys }: SealerKit): Vault {
  function sealedWith({ id: keyId, key }: DataKey, place: Place, secret: Secret): Sealed {
    const about = placeOf(id(), keyId, place)
    return { keyId, bytes: sealBytes(key.ready(), about, secret.revealBytes()) }
  }

  async function opened(place: Place, { keyId, bytes }: Sealed, rows?: Rows): Promise<Secret> {
    const { key } = await keys().forOpening(place.owner, keyId, rows)
    return secretOf(openBytes(key.ready(), placeOf(id(), keyId, place), bytes))
  }

  async function put(rows: Rows, place: Place, secret: Secret): Promise<void> {
    const { owner, record, field, generation } = place
    const { keyId, bytes } = sealedWith(await keys().forSealing(owner, rows), place, secret)
    const changed = await rows.update('sealed', { owner, record, field }, { generation, keyId, bytes })
    if (changed === 0) await rows.insert('sealed', [{ owner, record, field, generation, keyId, bytes }])
  }

  async function take(rows: Rows, place: Place): Promise<Secret | undefined> {
    const { owner, record, field } = place
    const row = await rows.get('sealed', { owner, record, field })
    if (row === undefined) return undefined
    if (row.generation < place.generation) throw tampered()
    const found = await opened({ ...place, generation: row.generation }, row, rows)
    if (row.generation === place.generation) return found
    // It is genuine, and newer than the one who asks: somebody wrote between his two reads.
    found.forget()
    throw new ValetkeyError('conflict', 'somebody else changed this secret at the same moment')
  }

  /** RFC 5869 over a key that stays for as long as the vault does. */
  async function mac(label: string, bytes: Uint8Array): Promise<Uint8Array> {
    const { key } = await keys().forOpening(INSTALLATION, id())
    const info = associated(LABELS.mac, id(), label)
    return key.use((bare) => {
      const derived = Buffer.from(hkdfSync('sha256', bare, new Uint8Array(), info, KEY_LENGTH))
      const digest = createHmac('sha256', derived).update(bytes).digest()
      derived.fill(0)
      return digest
    })
  }

  return {
    get id() {
      return id()
    },
    get locked() {
      return locked()
    },
    refuseLocked: () => void keys(),
    seal: async (place, secret, rows) =>
      sealedWith(await keys().forSealing(place.owner, rows), place, secret),
    open: (place, sealed) => opened(place, sealed),
    put,
    take,
    erase: async (rows, owner, record) => void (await rows.remove('sealed', { owner, record })),
    mac,
  }
}
