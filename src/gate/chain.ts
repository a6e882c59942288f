import { ValetkeyError } from '#client'
import { type CallerId, INSTALLATION } from '../model/caller.ts'
import type { Anchor, AuditChain, NewEntry } from '../model/gate.ts'
import type { Durability, Storage } from '../model/storage.ts'
import type { Vault } from '../model/vault.ts'
import { findBase, findHead, passesThrough, recall, remember, vouchFor } from './anchorage.ts'
import type { Link } from './layout.ts'
import { paced } from './paced.ts'
import { type Beside, lockedError, notRecorded, openPen } from './pen.ts'
import { lastToGo, removeUpTo } from './prune.ts'
import { readEntries } from './reading.ts'
import { troubleAtStart, verifyChain } from './verify.ts'

interface ChainParts {
  readonly storage: Storage
  readonly vault: Vault
  readonly anchor: Anchor
  readonly now: () => Date
  /** Takes what is to be written in one transaction with the entries that come next; see the pen. */
  readonly beside?: (() => Beside | undefined) | undefined
  /** Told the anchor now and then, and of a sync or an anchor that could not be written. */
  readonly log?: ((line: string) => void) | undefined
}

// What was counted is written, and all is synced, early enough to be under way before 50 ms have passed.
const SYNC_WITHIN_MS = 40
const ANCHOR_EVERY_MS = 1000
const TELL_EVERY_MS = 60_000

/** Whose doing it is when the house itself writes a line; who asked for it stands in the gate's own. */
const HOUSE: CallerId = 'workload:valetkey'

type State =
  | { readonly is: 'paused' }
  | { readonly is: 'open' }
  /** Not as the anchor says, or without a link that this process had seen on disk, and how that was noticed. */
  | { readonly is: 'restored'; readonly because: string; readonly without?: Link | undefined }

export function auditChain(parts: ChainParts): AuditChain {
  const { storage, vault, anchor, log = () => undefined } = parts
  const oneByOne = queue()
  let state: State = { is: 'paused' }
  let toldAt = Number.NEGATIVE_INFINITY

  const syncing = paced({
    every: SYNC_WITHIN_MS,
    async work() {
      await pen.drained()
      if (pen.owes) throw new ValetkeyError('not-recorded', 'what was counted could not be put on record')
      await storage.sync()
    },
    failed: () => log('the record could not be synced to the disk; it is tried again'),
  })
  const anchoring = paced({
    every: ANCHOR_EVERY_MS,
    work: writeAnchor,
    failed: () => log('the anchor of the record could not be written; it is tried again'),
  })
  const pen = openPen({ ...parts, maySoon: () => !syncing.failing, wrote, counted: () => syncing.ask() })

  function wrote(durability: Durability): void {
    if (durability === 'soon') syncing.ask()
    anchoring.ask()
  }

  /** The anchor never runs ahead of the disk: after a power cut it would remember what is not there. */
  async function writeAnchor(): Promise<void> {
    const { head } = pen
    if (head === undefined || state.is === 'restored' || vault.locked) return
    await storage.sync()
    if (!storage.shared || (await settled(head))) tell(await remember(anchor, vault, head))
  }

  /** A server that crashed in between has synced what was left, and that need not be what was written. */
  async function settled(head: Link): Promise<boolean> {
    if (!(await passesThrough(storage, vault, head))) {
      log('the end of the record was lost with the database server, before it was synced')
      return false
    }
    pen.settle(head)
    if (await vouchFor(storage, vault, head)) return true
    state = { is: 'restored', because: 'it is not the record that others wrote to' }
    return false
  }

  /** Whoever ships the log elsewhere has an anchor which nobody here can put back. */
  function tell(anchored: Uint8Array): void {
    const at = parts.now().getTime()
    if (at < toldAt + TELL_EVERY_MS) return
    toldAt = at
    log(`audit head ${Buffer.from(anchored).toString('hex')}`)
  }

  async function append(entry: NewEntry): Promise<number> {
    if (state.is === 'restored' && entry.verb !== 'accept-restore') throw restoredError(state.because)
    if (state.is === 'paused') throw lockedError()
    const seq = await pen.write(entry).catch((error: unknown) => {
      if (state.is === 'open' && error instanceof ValetkeyError && error.code === 'vault-restored')
        state = { is: 'restored', because: error.message, without: pen.sure }
      throw error
    })
    if (entry.verb === 'erase-owner' && entry.outcome === 'opened') await vouch()
    return seq
  }

  /** What will not open any more is vouched for by the anchor alone. */
  async function vouch(): Promise<void> {
    await anchoring.now().catch((cause) => {
      throw notRecorded(cause)
    })
  }

  async function resume(): Promise<void> {
    state = { is: 'paused' }
    await pen.drained()
    const base = await findBase(storage, vault)
    const remembered = await recall(anchor, vault)
    const because = await troubleAtStart(parts, base, remembered)
    pen.put(
      await findHead(storage, base.link),
      because === undefined && typeof remembered !== 'string' ? remembered : undefined,
    )
    // From the first entry on there is an anchor, so that a missing one means something.
    if (remembered === 'missing' && because === undefined) await anchoring.now()
    state = because === undefined ? { is: 'open' } : { is: 'restored', because }
  }

  // Locking must always succeed: what could not be written was told to whoever waits for it, and an
  // older anchor only means that less of the end is vouched for.
  async function pause(): Promise<void> {
    const was = state
    state = { is: 'paused' }
    await pen.drained()
    if (was.is === 'open') {
      await anchoring.now().catch(() => log('the anchor of the record could not be written'))
    }
    anchoring.stop()
    syncing.stop()
    pen.put(undefined)
  }

  async function acceptRestore(): Promise<void> {
    if (state.is === 'paused') throw lockedError()
    if (state.is === 'open') return
    const { because } = state
    if (storage.shared) await takeAsItIs()
    await append(houseEntry('accept-restore', because))
    state = { is: 'open' }
    await anchoring.now()
  }

  async function takeAsItIs(): Promise<void> {
    const head = await findHead(storage, (await findBase(storage, vault)).link)
    pen.put(head)
    await vouchFor(storage, vault, head, true)
  }

  async function prune(before: Date): Promise<void> {
    const own = await append(houseEntry('prune-audit', `entries before ${before.toISOString()}`))
    const last = await lastToGo(storage, before, own)
    if (last === undefined) return
    // The anchor first: it must never stand before the beginning of the chain.
    await anchoring.now()
    await removeUpTo(parts, last)
  }

  /** What this process itself vouches for. */
  function remembered(): Link | undefined {
    if (state.is === 'restored') return state.without
    if (state.is === 'paused') return undefined
    return storage.shared ? pen.sure : pen.head
  }

  async function verify() {
    await pen.drained()
    return verifyChain(parts, remembered())
  }

  return {
    get restored() {
      return state.is === 'restored'
    },
    resume: () => oneByOne(resume),
    pause: () => oneByOne(pause),
    acceptRestore: () => oneByOne(acceptRestore),
    append,
    caughtUp: pen.drained,
    read: (owner, query) => readEntries(parts, owner, query),
    verify: () => oneByOne(verify),
    prune: (before) => oneByOne(() => prune(before)),
  }
}

function houseEntry(verb: 'accept-restore' | 'prune-audit', detail: string): NewEntry {
  return {
    owner: INSTALLATION,
    caller: HOUSE,
    proof: 'valetkey itself',
    verb,
    target: 'the record',
    outcome: 'done',
    detail,
  }
}

function restoredError(because: string): ValetkeyError {
  return new ValetkeyError('vault-restored', `the vault is not as it was left: ${because}`, {
    hint: 'valetkey vault accept-restore',
  })
}

/** One after the other: these look at the whole chain, or move its ends. */
function queue(): <R>(work: () => Promise<R>) => Promise<R> {
  let before: Promise<unknown> = Promise.resolve()
  return (work) => {
    const mine = before.then(work)
    before = mine.catch(() => undefined)
    return mine
  }
}
