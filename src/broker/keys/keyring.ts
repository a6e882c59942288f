import { ValetkeyError } from '#client'
import type { CallerId } from '../../model/caller.ts'
import type { Sockets } from '../../model/sockets.ts'
import { EVERY_OWNER } from '../../model/storage.ts'
import { type Kit, unlessTampered } from '../kit.ts'
import { cutOffEnded, endMadeBy } from './ending.ts'
import { isOver } from './line.ts'
import { type Known, takeTerms } from './terms.ts'

const LOOK_MS = 500

/** What callers that were narrowed need of this computer. */
export interface KeyringParts {
  /** What tells a process that runs from others of its number; undefined where it does not run. */
  readonly markOf: (pid: number) => string | undefined
  /** This computer, and this broker's place on it. */
  readonly here: string
}

/** The callers that this broker has to look after: whose socket is open here, and whose process runs here. */
export interface Keyring extends Pick<KeyringParts, 'here' | 'markOf'> {
  /** From now on callers that are sockets come in there, those too that were before. */
  listenAt(sockets: Sockets): Promise<void>
  /** Takes it up; says where its socket is. */
  keep(known: Known): Promise<string | null>
  /** Where a caller's socket is, if it is one that is open here. */
  socketOf(id: CallerId): string | null
  /** Takes its socket away. */
  forget(id: CallerId): Promise<void>
  /** Takes up all that were there before, once the vault can be read. */
  takeUp(): Promise<void>
  /** Somebody says that this caller was changed, or any. It is looked up: who says so proves nothing. */
  lookAt(id?: string): Promise<void>
  /** Whether somebody may come in at a socket that is open here. */
  hasSockets(): boolean
  close(): Promise<void>
}

interface Kept extends Known {
  readonly socket: string | null
}

export function openKeyring(kit: () => Kit, parts: KeyringParts): Keyring {
  const { markOf, here } = parts
  let sockets: Sockets | undefined
  const kept = new Map<CallerId, Kept>()
  let stopLooking: (() => void) | undefined
  let looking: Promise<void> | undefined

  async function open({ row, terms }: Known): Promise<string | null> {
    if (row.kind !== 'socket') return null
    if (sockets === undefined) throw noSockets()
    const { owner, id } = row
    return sockets.open({ id, uids: terms.uids, as: (proof) => ({ id, owner, proof }) })
  }

  async function keep(known: Known): Promise<string | null> {
    const { row, terms } = known
    if (terms.at !== here || (row.kind !== 'socket' && terms.endsWith === null)) return null
    const socket = await open(known)
    kept.set(row.id, { ...known, socket })
    if (row.until !== null || terms.endsWith !== null) stopLooking ??= everyNowAndThen(() => void look())
    return socket
  }

  async function forget(id: CallerId): Promise<void> {
    const one = kept.get(id)
    kept.delete(id)
    if (kept.size === 0) rest()
    if (one !== undefined && one.socket !== null) await sockets?.close(id)
  }

  function rest(): void {
    stopLooking?.()
    stopLooking = undefined
  }

  /** One after the other, however slow the disk is. */
  function look(): Promise<void> {
    looking ??= endWhatIsOver().finally(() => {
      looking = undefined
    })
    return looking
  }

  async function endWhatIsOver(): Promise<void> {
    const now = kit().now().getTime()
    for (const one of [...kept.values()]) {
      const why = over(one, now)
      if (why === undefined) continue
      // What cannot be written now is tried again; the socket is gone in any case.
      if (kit().vault.locked) await closeSocket(one)
      else await end(one, why).catch(() => closeSocket(one))
    }
  }

  function over({ row, terms: { endsWith } }: Kept, now: number): string | undefined {
    if (isOver(row, now)) return 'its time was over'
    if (endsWith !== null && markOf(endsWith.pid) !== endsWith.mark)
      return `the process ${endsWith.pid} it ended with is gone`
    return undefined
  }

  async function end({ row }: Kept, why: string): Promise<void> {
    const { owner, id } = row
    const house = kit()
    const ended = await house.storage.transaction('synced', (rows) =>
      endMadeBy(house, rows, { owner, id }, { itself: true }),
    )
    await forget(id)
    await cutOffEnded(house, ended)
    if (ended.rows.length > 0) await onRecord(house, { owner, id }, why)
  }

  async function closeSocket({ row: { id }, socket }: Kept): Promise<void> {
    if (socket !== null) await sockets?.close(id).catch(() => undefined)
  }

  async function takeUp(): Promise<void> {
    const house = kit()
    for (const row of await house.storage.list('keys', { owner: EVERY_OWNER })) {
      if (kept.has(row.id)) continue
      const terms = await unlessTampered(takeTerms(house, house.storage, row))
      // A place that cannot be opened again is nobody's way in, and no reason to stay away.
      if (terms !== undefined) await keep({ row, terms }).catch(() => undefined)
    }
    await look()
  }

  return {
    here,
    markOf,
    async listenAt(places) {
      sockets = places
      if (!kit().vault.locked) await takeUp()
    },
    keep,
    forget,
    socketOf: (id) => kept.get(id)?.socket ?? null,
    takeUp,
    async lookAt(id) {
      for (const { row } of [...kept.values()]) {
        const { owner } = row
        if (id !== undefined && id !== row.id) continue
        if ((await kit().storage.get('keys', { owner, id: row.id })) === undefined) await forget(row.id)
      }
    },
    hasSockets: () => [...kept.values()].some(({ socket }) => socket !== null),
    async close() {
      rest()
      await looking
    },
  }
}

function everyNowAndThen(look: () => void): () => void {
  const timer = setInterval(look, LOOK_MS).unref()
  return () => clearInterval(timer)
}

async function onRecord({ chain }: Kit, { owner, id }: Pick<Known['row'], 'owner' | 'id'>, detail: string) {
  await chain.append({
    owner,
    caller: id,
    proof: 'broker',
    verb: 'end-key',
    target: id,
    outcome: 'done',
    detail,
  })
}

function noSockets(): ValetkeyError {
  return new ValetkeyError('invalid-request', 'no sockets can be opened here', {
    hint: 'cut a key instead: valetkey keys cut',
  })
}
