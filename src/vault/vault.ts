import { type KeySourceKind, ValetkeyError } from '#client'
import { INSTALLATION, type OwnerId } from '../model/caller.ts'
import type { Secret } from '../model/secret.ts'
import type { Rows, Storage, VaultRow } from '../model/storage.ts'
import type { KeySource, Remembered, VaultKeeper } from '../model/vault.ts'
import { type DataKeys, dataKeys, type Masters } from './data-keys.ts'
import { FORMAT_VERSION } from './envelope.ts'
import { follow, lockedOut, newMaster } from './following.ts'
import { holdKey, locked } from './held-key.ts'
import { checkFor, proveMaster, readRemembered, refuseNewer, writeRemembered } from './master.ts'
import { sealer } from './sealer.ts'
import { settled, standingRow } from './standing.ts'

/** What a source is told by a person: what it cannot know of itself. */
export interface Told {
  readonly passphrase?: Secret
  /** Which command the person means; it has to be the one that the configuration names. */
  readonly command?: string
}

export interface VaultKit {
  readonly storage: Storage
  readonly sources: (kind: KeySourceKind, told: Told) => KeySource
  /** Where the key of a vault that does not exist yet shall come from. */
  readonly preferred: KeySourceKind
  readonly now: () => Date
  readonly newId: () => string
}

interface NewMaster {
  readonly masterId: string
  readonly key: Secret
  readonly remembered: Remembered
}

interface Unlocked {
  readonly masters: Masters
  readonly keys: DataKeys
}

function oneByOne(): <R>(work: () => Promise<R>) => Promise<R> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const turn = last.then(work)
    last = turn.catch(() => undefined)
    return turn
  }
}

/**
 * Finds the vault of a storage, locked. Where there is none yet, the first `unlock` makes it.
 */
export async function openVault(kit: VaultKit): Promise<VaultKeeper> {
  const { storage, sources, newId } = kit
  const inTurn = oneByOne()
  let row = await standingRow(storage)
  const newVaultId = newId()
  let unlocked: Unlocked | undefined
  // Counts the locks, so that an unlocking which a lock overtakes does not undo it.
  let locks = 0
  // Why it locked itself.
  let because: ValetkeyError | undefined

  const id = () => row?.id ?? newVaultId

  function present(): Unlocked {
    if (unlocked === undefined) throw because ?? locked()
    return unlocked
  }

  function withMaster(masterId: string, key: Secret): Unlocked {
    const masters: Masters = new Map([[masterId, holdKey(key.revealBytes())]])
    const keys = dataKeys({ ...kit, vaultId: id(), masters, catchUp: (rows) => catchUp(masters, rows) })
    return { masters, keys }
  }

  function forget({ masters, keys }: Unlocked): void {
    for (const master of masters.values()) master.forget()
    masters.clear()
    keys.forget()
  }

  /** The row chooses among our own sources, and tells them nothing: whoever can write it runs no program. */
  function sourceOf(standing: VaultRow, passphrase?: Secret): KeySource {
    return sources(standing.keySource, passphrase === undefined ? {} : { passphrase })
  }

  async function unlockStanding(standing: VaultRow, passphrase?: Secret): Promise<Unlocked> {
    refuseNewer(standing)
    const source = sourceOf(standing, passphrase)
    const opened = withMaster(standing.masterId, await source.obtain(readRemembered(standing.remembered)))
    try {
      for (const master of opened.masters.values()) proveMaster(standing, master)
      // The key by which records are marked; without it nothing can be proved.
      await opened.keys.forOpening(INSTALLATION, standing.id)
      return opened
    } catch (error) {
      forget(opened)
      throw error
    }
  }

  function rowFor(opened: Unlocked, masterId: string, source: KeySource, remembered: string): VaultRow {
    const master = opened.masters.get(masterId)
    if (master === undefined) throw locked()
    const standing = { id: id(), masterId, keySource: source.kind, remembered }
    const check = checkFor(standing, master)
    const createdAt = row?.createdAt ?? kit.now().getTime()
    return { ...standing, owner: INSTALLATION, format: FORMAT_VERSION, check, createdAt }
  }

  async function found(passphrase?: Secret): Promise<Unlocked> {
    const source = sources(kit.preferred, passphrase === undefined ? {} : { passphrase })
    const created = await source.create()
    const masterId = newId()
    const opened = withMaster(masterId, created.key)
    const made = rowFor(opened, masterId, source, writeRemembered(created.remembered))
    const founding = storage.transaction('synced', async (rows) => {
      await rows.insert('vault', [made])
      // The installation's first data key bears the vault's own id: by that it is found for ever.
      await opened.keys.found(rows, INSTALLATION, made.id)
    })
    const undo = async () => {
      forget(opened)
      await source.discard?.(created.remembered)
    }
    await settled(founding, masterId, { rows: storage, undo })
    row = made
    return opened
  }

  async function unlock(before: number, passphrase?: Secret): Promise<void> {
    if (unlocked !== undefined) return
    row = await standingRow(storage)
    const opened = row === undefined ? await foundOrJoin(passphrase) : await unlockStanding(row, passphrase)
    if (locks !== before) return forget(opened)
    unlocked = opened
    because = undefined
  }

  /** Of two who found a vault at once the later one opens what the other founded. */
  async function foundOrJoin(passphrase?: Secret): Promise<Unlocked> {
    try {
      return await found(passphrase)
    } catch (error) {
      row = await standingRow(storage)
      if (row === undefined) throw error
      return await unlockStanding(row, passphrase)
    }
  }

  function lock(why?: ValetkeyError): void {
    locks += 1
    if (unlocked !== undefined) forget(unlocked)
    unlocked = undefined
    because = why
  }

  /** What was wrapped anew by another broker cannot be opened by the old key: without the new one it is locked. */
  async function keepUp(): Promise<void> {
    const opened = unlocked
    if (opened === undefined) return
    const standing = await standingRow(storage)
    await takeNewMaster(opened.masters, standing).catch((error: unknown) => {
      if (unlocked === opened) lock(lockedOut(error))
    })
  }

  /** The same inside of a transaction, which may have begun before the vault got its present key. */
  async function catchUp(masters: Masters, rows: Rows): Promise<void> {
    const standing = await standingRow(rows)
    await takeNewMaster(masters, standing).catch((cause: unknown) => {
      inTurn(keepUp).catch(() => undefined)
      throw new ValetkeyError('conflict', 'the vault got a new key at the same moment', { cause })
    })
  }

  async function takeNewMaster(masters: Masters, standing: VaultRow | undefined): Promise<void> {
    if (!storage.shared || row === undefined || masters.has(standing?.masterId ?? '')) return
    if (standing === undefined) throw locked('the vault is not there any more')
    const master = await newMaster(row, standing, sourceOf(standing))
    // Locked meanwhile: then it stays so.
    if (masters.size === 0) return master.forget()
    for (const old of [...masters.keys()]) drop(masters, old)
    masters.set(standing.masterId, master)
    row = standing
  }

  async function move(rows: Rows, keys: DataKeys, from: VaultRow, to: VaultRow): Promise<void> {
    const { masterId, keySource, remembered, check } = to
    const where = { owner: INSTALLATION, id: from.id, masterId: from.masterId }
    const changed = await rows.update('vault', where, { masterId, keySource, remembered, check })
    if (changed === 0) throw rekeyedMeanwhile()
    await keys.rewrap(rows, from.masterId, masterId)
  }

  async function rekey(source: KeySource): Promise<void> {
    await keepUp()
    const opened = present()
    const from = await standingRow(storage)
    if (from === undefined) throw locked()
    // Since we kept up with the others, one of them was faster.
    if (!opened.masters.has(from.masterId)) throw rekeyedMeanwhile()
    const created = await source.create()
    const masterId = newId()
    const undo = async () => {
      drop(opened.masters, masterId)
      await source.discard?.(created.remembered)
    }
    const moving = moveUnder(opened, from, source, { ...created, masterId })
    await settled(moving, masterId, { rows: storage, undo })
    row = await standingRow(storage)
    drop(opened.masters, from.masterId)
    await sourceOf(from).discard?.(readRemembered(from.remembered))
  }

  async function moveUnder(opened: Unlocked, from: VaultRow, source: KeySource, created: NewMaster) {
    if (present() !== opened) throw locked()
    opened.masters.set(created.masterId, holdKey(created.key.revealBytes()))
    const to = rowFor(opened, created.masterId, source, writeRemembered(created.remembered))
    await storage.transaction('synced', (rows) => move(rows, opened.keys, from, to))
  }

  function drop(masters: Masters, masterId: string): void {
    masters.get(masterId)?.forget()
    masters.delete(masterId)
  }

  async function eraseOwner(owner: OwnerId): Promise<void> {
    if (owner === INSTALLATION)
      throw new ValetkeyError('invalid-request', 'the installation itself cannot be erased', {
        hint: 'remove the whole vault instead',
      })
    await storage.transaction('synced', async (rows) => {
      await rows.remove('dataKeys', { owner })
      await rows.remove('sealed', { owner })
      unlocked?.keys.forgetOwner(owner)
    })
    unlocked?.keys.forgetOwner(owner)
  }

  follow(storage, {
    master: () => inTurn(keepUp),
    dataKeys: async (ids) => unlocked?.keys.forgetErased(ids),
  })

  return {
    vault: sealer({ id, locked: () => unlocked === undefined, keys: () => present().keys }),
    get source() {
      return row?.keySource ?? kit.preferred
    },
    unlock: (passphrase) => {
      const before = locks
      return inTurn(() => unlock(before, passphrase))
    },
    lock: () => lock(),
    rekey: (source) => inTurn(() => rekey(source)),
    eraseOwner,
  }
}

function rekeyedMeanwhile(): ValetkeyError {
  return new ValetkeyError('conflict', 'somebody else re-keyed the vault')
}
