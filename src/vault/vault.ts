import { type KeySourceKind, ValetkeyError } from '#client'
import { INSTALLATION, type OwnerId } from '../model/caller.ts'
import type { Secret } from '../model/secret.ts'
import type { Rows, Storage, VaultRow } from '../model/storage.ts'
import type { KeySource, Remembered, VaultKeeper } from '../model/vault.ts'
import { type DataKeys, dataKeys, type Masters } from './data-keys.ts'
import { FORMAT_VERSION } from './envelope.ts'
import { holdKey, locked } from './held-key.ts'
import { checkFor, proveMaster, readRemembered, refuseNewer, writeRemembered } from './master.ts'
import { sealer } from './sealer.ts'

/** What a source is told by a person or by the vault: what it cannot know of itself. */
export interface Told {
  readonly passphrase?: Secret
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

async function standingRow(rows: Rows): Promise<VaultRow | undefined> {
  return await rows.get('vault', { owner: INSTALLATION })
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

  const id = () => row?.id ?? newVaultId

  function present(): Unlocked {
    if (unlocked === undefined) throw locked()
    return unlocked
  }

  function withMaster(masterId: string, key: Secret): Unlocked {
    const masters: Masters = new Map([[masterId, holdKey(key.revealBytes())]])
    return { masters, keys: dataKeys({ ...kit, vaultId: id(), masters }) }
  }

  function forget({ masters, keys }: Unlocked): void {
    for (const master of masters.values()) master.forget()
    masters.clear()
    keys.forget()
  }

  function sourceOf(standing: VaultRow, passphrase?: Secret): KeySource {
    const { command } = readRemembered(standing.remembered)
    return sources(standing.keySource, {
      ...(passphrase === undefined ? {} : { passphrase }),
      ...(typeof command === 'string' ? { command } : {}),
    })
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
    await settled(founding, masterId, async () => {
      forget(opened)
      await source.discard?.(created.remembered)
    })
    row = made
    return opened
  }

  /** A commit may fail after it was on disk. Only when the vault surely has not that key is it undone. */
  async function settled(change: Promise<void>, masterId: string, undo: () => Promise<void>): Promise<void> {
    try {
      await change
    } catch (error) {
      const after = await standingRow(storage)
      if (after?.masterId === masterId) return
      await undo()
      throw error
    }
  }

  async function unlock(before: number, passphrase?: Secret): Promise<void> {
    if (unlocked !== undefined) return
    row = await standingRow(storage)
    const opened = row === undefined ? await found(passphrase) : await unlockStanding(row, passphrase)
    if (locks === before) unlocked = opened
    else forget(opened)
  }

  function lock(): void {
    locks += 1
    if (unlocked !== undefined) forget(unlocked)
    unlocked = undefined
  }

  async function move(rows: Rows, keys: DataKeys, from: VaultRow, to: VaultRow): Promise<void> {
    const { masterId, keySource, remembered, check } = to
    const where = { owner: INSTALLATION, id: from.id, masterId: from.masterId }
    const changed = await rows.update('vault', where, { masterId, keySource, remembered, check })
    if (changed === 0) throw new ValetkeyError('conflict', 'somebody else re-keyed the vault')
    await keys.rewrap(rows, from.masterId, masterId)
  }

  async function rekey(source: KeySource): Promise<void> {
    const opened = present()
    const from = await standingRow(storage)
    if (from === undefined) throw locked()
    const created = await source.create()
    const masterId = newId()
    const undo = async () => {
      drop(opened, masterId)
      await source.discard?.(created.remembered)
    }
    await settled(moveUnder(opened, from, source, { ...created, masterId }), masterId, undo)
    row = await standingRow(storage)
    drop(opened, from.masterId)
    await sourceOf(from).discard?.(readRemembered(from.remembered))
  }

  async function moveUnder(opened: Unlocked, from: VaultRow, source: KeySource, created: NewMaster) {
    if (present() !== opened) throw locked()
    opened.masters.set(created.masterId, holdKey(created.key.revealBytes()))
    const to = rowFor(opened, created.masterId, source, writeRemembered(created.remembered))
    await storage.transaction('synced', (rows) => move(rows, opened.keys, from, to))
  }

  function drop({ masters }: Unlocked, masterId: string): void {
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

  return {
    vault: sealer({ id, locked: () => unlocked === undefined, keys: () => present().keys }),
    get source() {
      return row?.keySource ?? kit.preferred
    },
    unlock: (passphrase) => {
      const before = locks
      return inTurn(() => unlock(before, passphrase))
    },
    lock,
    rekey: (source) => inTurn(() => rekey(source)),
    eraseOwner,
  }
}
