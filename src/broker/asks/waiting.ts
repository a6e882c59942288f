import { ValetkeyError } from '#client'
import { type Caller, isOwner } from '../../model/caller.ts'
import type { Ask } from '../../model/words.ts'
import type { Kit } from '../kit.ts'
import { readAsking, viewAsk } from './rows.ts'

const LONGEST_WAIT_MS = 60_000
/** Another broker may be the one that is told. */
const LOOK_AGAIN_MS = 1000
const MOST_WAITING = 64
const MOST_SHOWN = 200

/** The owner sees everybody's, anybody else their own. */
export async function asks(kit: Kit, caller: Caller): Promise<readonly Ask[]> {
  const { owner, id } = caller
  const where = isOwner(caller) ? { owner } : { owner, caller: id }
  return kit.storage.transaction('soon', async (rows) => {
    const seen: Ask[] = []
    const options = { orderBy: 'askedAt', descending: true, limit: MOST_SHOWN } as const
    for (const row of await rows.list('asks', where, options)) {
      const asking = await readAsking(kit, rows, row)
      if (asking !== undefined) seen.push(viewAsk(asking, kit.now()))
    }
    return seen
  })
}

/** One of them: as it is, or as soon as it is decided, or after so long. */
export async function asked(kit: Kit, caller: Caller, id: string, waitSeconds = 0): Promise<Ask> {
  const until = kit.monotonic() + Math.min(Math.max(0, waitSeconds) * 1000, LONGEST_WAIT_MS)
  for (;;) {
    const woken = wakened(kit, id)
    try {
      const ask = await look(kit, caller, id)
      const left = until - kit.monotonic()
      if (ask.state !== 'pending' || !(left > 0)) return ask
      await woken.within(Math.min(left, LOOK_AGAIN_MS))
    } finally {
      woken.forget()
    }
  }
}

async function look(kit: Kit, caller: Caller, id: string): Promise<Ask> {
  kit.vault.refuseLocked()
  const { owner } = caller
  const asking = await readAsking(kit, kit.storage, await kit.storage.get('asks', { owner, id }))
  if (asking === undefined || !(isOwner(caller) || asking.row.caller === caller.id)) throw noSuchAsk()
  return viewAsk(asking, kit.now())
}

/** Tells those who wait for it that it was decided. */
export function wake({ undecided }: Kit, id: string): void {
  for (const tell of undecided.get(id) ?? []) tell()
}

function wakened({ undecided }: Kit, id: string) {
  const waiting = undecided.get(id) ?? new Set()
  if (waiting.size >= MOST_WAITING) {
    throw new ValetkeyError('resource-exhausted', `${MOST_WAITING} wait for this answer already`, {
      hint: 'look again in a while',
    })
  }
  const { promise, resolve } = Promise.withResolvers<void>()
  undecided.set(id, waiting.add(resolve))
  let timer: NodeJS.Timeout | undefined
  return {
    within(milliseconds: number): Promise<void> {
      timer = setTimeout(resolve, milliseconds)
      return promise
    },
    forget(): void {
      clearTimeout(timer)
      waiting.delete(resolve)
      if (waiting.size === 0) undecided.delete(id)
    },
  }
}

export function noSuchAsk(): ValetkeyError {
  return new ValetkeyError('not-found', 'there is no such ask', { hint: 'valetkey asks' })
}
