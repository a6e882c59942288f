import { randomBytes } from 'node:crypto'
import { ValetkeyError } from '#client'
import { INSTALLATION, type OwnerId } from '../model/caller.ts'
import { type DataKeyRow, EVERY_OWNER, type Rows, type Storage } from '../model/storage.ts'
import { associated, KEY_LENGTH, LABELS, openBytes, sealBytes, tampered } from './envelope.ts'
import { type HeldKey, holdKey, locked } from './held-key.ts'

/** NIST SP 800-38D §8.3 allows 2^32 random nonces to a key; half of that is left alone. */
export const SEALS_PER_KEY = 2 ** 31

/**
 * Seals are counted on disk before they are made, so many at a time. What a crash leaves unused
 * stays counted.
 */
const SEALS_AT_ONCE = 4_096

/** So few left, the next ones are counted already while these are made: nobody ever waits for it. */
const SEALS_LEFT = 1_024

/** The master keys at hand by their id: one, or two while the vault passes from one to the other. */
export type Masters = Map<string, HeldKey>

export interface DataKey {
  readonly id: string
  readonly key: HeldKey
}

interface Warm extends DataKey {
  left: number
}

interface DataKeysKit {
  readonly storage: Storage
  readonly vaultId: string
  readonly masters: Masters
  /** Looks whether somebody else gave the vault a new key since, and puts that at hand too. */
  readonly catchUp: (rows: Rows) => Promise<void>
  readonly now: () => Date
  readonly newId: () => string
}

export interface DataKeys {
  /** A key to seal one value with. Inside a transaction the transaction's rows have to be told. */
  forSealing(owner: OwnerId, rows?: Rows): Promise<DataKey>
  forOpening(owner: OwnerId, id: string, rows?: Rows): Promise<DataKey>
  /** Makes an owner's first key under an id that is known beforehand. */
  found(rows: Rows, owner: OwnerId, id: string): Promise<void>
  /** Wraps every data key anew. */
  rewrap(rows: Rows, fromMaster: string, toMaster: string): Promise<void>
  forgetOwner(owner: OwnerId): void
  /** Forgets those of these keys, or of all, which somebody else erased. */
  forgetErased(ids?: readonly string[]): Promise<void>
  forget(): void
}

function place(vaultId: string, { owner, id, masterId }: Pick<DataKeyRow, 'owner' | 'id' | 'masterId'>) {
  return associated(LABELS.dataKey, vaultId, owner, id, masterId)
}

function wrappedAnew(kit: DataKeysKit, row: DataKeyRow, masterId: string): Uint8Array {
  const bare = unwrapped(kit, row)
  const wrapped = masterOf(kit, masterId).use((master) =>
    sealBytes(master, place(kit.vaultId, { ...row, masterId }), bare),
  )
  bare.fill(0)
  return wrapped
}

function unwrapped(kit: DataKeysKit, row: DataKeyRow): Uint8Array {
  const bare = masterOf(kit, row.masterId).use((master) =>
    openBytes(master, place(kit.vaultId, row), row.wrapped),
  )
  if (bare.length !== KEY_LENGTH) throw tampered()
  return bare
}

function masterOf({ masters }: DataKeysKit, id: string): HeldKey {
  if (masters.size === 0) throw locked()
  const master = masters.get(id)
  if (master === undefined) throw tampered()
  return master
}

/**
 * The id of the master key that new data keys are wrapped with. The vault's row is written over with
 * itself, so that in every engine a change of the master key waits for this transaction, or this
 * transaction notices the change.
 */
async function presentMaster(rows: Rows): Promise<string> {
  const vault = await rows.get('vault', { owner: INSTALLATION })
  if (vault === undefined) throw tampered()
  const { id, masterId } = vault
  const held = await rows.update('vault', { owner: INSTALLATION, id, masterId }, { masterId })
  if (held === 0) throw new ValetkeyError('conflict', 'the vault got a new key at the same moment')
  return masterId
}

/** Whoever hands the storage itself is in no transaction; then one is begun here. */
function isStorage(rows: Rows): boolean {
  return 'transaction' in rows
}

export function dataKeys(kit: DataKeysKit): DataKeys {
  const opened = new Map<string, DataKey & { readonly owner: OwnerId }>()
  const warm = new Map<OwnerId, Warm>()
  const warming = new Map<OwnerId, Promise<void>>()

  async function atHand(rows: Rows, masterId: string): Promise<void> {
    if (kit.masters.size > 0 && !kit.masters.has(masterId)) await kit.catchUp(rows)
  }

  async function hold(rows: Rows, row: DataKeyRow): Promise<DataKey> {
    await atHand(rows, row.masterId)
    const known = opened.get(row.id)
    if (known !== undefined && known.owner === row.owner) return known
    const fresh = { id: row.id, owner: row.owner, key: holdKey(unwrapped(kit, row)) }
    opened.set(row.id, fresh)
    return fresh
  }

  async function make(rows: Rows, owner: OwnerId, id: string, seals: number): Promise<DataKeyRow> {
    const bare = randomBytes(KEY_LENGTH)
    const masterId = await presentMaster(rows)
    await atHand(rows, masterId)
    const wrapped = masterOf(kit, masterId).use((master) =>
      sealBytes(master, place(kit.vaultId, { owner, id, masterId }), bare),
    )
    bare.fill(0)
    const createdAt = kit.now().getTime()
    const row = { id, owner, masterId, wrapped, current: 1, seals, createdAt }
    await rows.insert('dataKeys', [row])
    return row
  }

  /** Counts so many seals of the owner's present key, or of a fresh one when that has made enough. */
  async function reserve(rows: Rows, owner: OwnerId, seals: number): Promise<DataKey> {
    const row = await rows.get('dataKeys', { owner, current: 1 })
    if (row !== undefined && row.seals + seals <= SEALS_PER_KEY) {
      const key = await hold(rows, row)
      const where = { owner, id: row.id, seals: row.seals }
      const counted = await rows.update('dataKeys', where, { seals: row.seals + seals })
      if (counted === 0) throw new ValetkeyError('conflict', 'somebody else sealed at the same moment')
      return key
    }
    if (row !== undefined) await rows.update('dataKeys', { owner, id: row.id }, { current: 0 })
    return hold(rows, await make(rows, owner, kit.newId(), seals))
  }

  async function warmUp(owner: OwnerId): Promise<void> {
    const key = await kit.storage.transaction('synced', (rows) => reserve(rows, owner, SEALS_AT_ONCE))
    // Forgotten in the meantime: then it is not for sealing any more.
    if (opened.get(key.id) === key) warm.set(owner, { ...key, left: SEALS_AT_ONCE })
  }

  /** Many who seal for one owner at the same time wait for one count. */
  function warmUpOnce(owner: OwnerId): Promise<void> {
    const under = warming.get(owner) ?? warmUp(owner).finally(() => warming.delete(owner))
    warming.set(owner, under)
    return under
  }

  function fromWarm(owner: OwnerId): DataKey | undefined {
    const key = warm.get(owner)
    if (key === undefined || key.left === 0) return undefined
    key.left -= 1
    // Should it fail, whoever finds none left tries again and is told.
    if (key.left === SEALS_LEFT) warmUpOnce(owner).catch(() => undefined)
    return key
  }

  async function forSealing(owner: OwnerId, rows?: Rows): Promise<DataKey> {
    if (kit.masters.size === 0) throw locked()
    const counted = fromWarm(owner)
    if (counted !== undefined) return counted
    if (rows !== undefined && !isStorage(rows)) return await reserve(rows, owner, 1)
    await warmUpOnce(owner)
    return await forSealing(owner)
  }

  async function forOpening(owner: OwnerId, id: string, rows: Rows = kit.storage): Promise<DataKey> {
    if (kit.masters.size === 0) throw locked()
    const known = opened.get(id)
    if (known !== undefined && known.owner === owner) return known
    const row = await rows.get('dataKeys', { owner, id })
    if (row === undefined) throw tampered()
    return hold(rows, row)
  }

  function forgetWhere(gone: (owner: OwnerId, id: string) => boolean): void {
    for (const [id, { owner, key }] of opened) {
      if (!gone(owner, id)) continue
      key.forget()
      opened.delete(id)
      warm.delete(owner)
    }
  }

  async function forgetErased(ids: readonly string[] = [...opened.keys()]): Promise<void> {
    const asked = new Set(ids.filter((id) => opened.has(id)))
    if (asked.size === 0) return
    const few = asked.size === 1 ? { id: { oneOf: [...asked] } } : {}
    const there = await kit.storage.list('dataKeys', { owner: EVERY_OWNER, ...few })
    for (const { id } of there) asked.delete(id)
    forgetWhere((_, id) => asked.has(id))
  }

  return {
    forSealing,
    forOpening,
    found: async (rows, owner, id) => void (await make(rows, owner, id, 0)),
    rewrap: async (rows, fromMaster, toMaster) => {
      for (const row of await rows.list('dataKeys', { owner: EVERY_OWNER })) {
        if (row.masterId !== fromMaster) throw tampered()
        const wrapped = wrappedAnew(kit, row, toMaster)
        await rows.update('dataKeys', { owner: row.owner, id: row.id }, { wrapped, masterId: toMaster })
      }
    },
    forgetOwner: (owner) => forgetWhere((of) => of === owner),
    forgetErased,
    forget: () => forgetWhere(() => true),
  }
}
