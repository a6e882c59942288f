import type { EventName, EventQuery } from '#client'
import { type Caller, isOwner, type OwnerId } from '../model/caller.ts'
import type { Account, ValetkeyEvent } from '../model/words.ts'

const REMEMBERED = 1000

interface Happening {
  readonly owner: OwnerId
  /** Who was bound to the account when it happened. */
  readonly bound: readonly string[]
  readonly number: number
  readonly event: ValetkeyEvent
}

/** What changed, told to whoever listens at the time or comes back soon after. */
export interface Happenings {
  /** Besides the owner only those hear of it who may know of the account. */
  tell(owner: OwnerId, name: EventName, account: Account, bound: readonly string[]): void
  listen(caller: Caller, query: EventQuery): AsyncIterable<ValetkeyEvent>
  forget(owner: OwnerId): void
}

export function openHappenings(now: () => Date, newId: () => string): Happenings {
  let past: readonly Happening[] = []
  const listeners = new Set<() => void>()
  const run = newId()
  let told = 0

  function tell(owner: OwnerId, name: EventName, account: Account, bound: readonly string[]): void {
    told += 1
    const event = { id: `${run}.${told}`, name, at: now(), account }
    past = [...past, { owner, bound, number: told, event }].slice(-REMEMBERED)
    for (const wake of listeners) wake()
  }

  async function* listen(caller: Caller, { after, signal }: EventQuery): AsyncGenerator<ValetkeyEvent> {
    let seen = after === undefined ? told : numberOf(after)
    while (signal?.aborted !== true) {
      const news = past.filter(({ number }) => number > seen)
      seen = told
      for (const { event } of news.filter((one) => concerns(one, caller))) yield event
      if (seen >= told) await woken(signal)
    }
  }

  /** An id of an earlier run says nothing here, so its holder is told all that is remembered. */
  function numberOf(id: string): number {
    const [of, number] = [id.slice(0, run.length + 1), id.slice(run.length + 1)]
    return of === `${run}.` ? Math.min(Number(number) || 0, told) : 0
  }

  async function woken(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = () => resolve()
    listeners.add(wake)
    signal?.addEventListener('abort', wake, { once: true })
    await promise
    listeners.delete(wake)
    signal?.removeEventListener('abort', wake)
  }

  function forget(owner: OwnerId): void {
    past = past.filter((one) => one.owner !== owner)
  }

  return { tell, listen, forget }
}

function concerns({ owner, bound }: Happening, caller: Caller): boolean {
  return owner === caller.owner && (isOwner(caller) || bound.includes(caller.id))
}
