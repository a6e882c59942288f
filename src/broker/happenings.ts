import type { EventName } from '#client'
import type { OwnerId } from '../model/caller.ts'
import type { Account, ValetkeyEvent } from '../model/words.ts'

const REMEMBERED = 1000

interface Happening {
  readonly owner: OwnerId
  readonly event: ValetkeyEvent
}

/** What changed, told to whoever listens at the time or comes back soon after. */
export interface Happenings {
  tell(owner: OwnerId, name: EventName, account: Account): void
  listen(owner: OwnerId, query: { after?: string; signal?: AbortSignal }): AsyncIterable<ValetkeyEvent>
}

export function openHappenings(now: () => Date, newId: () => string): Happenings {
  const past: Happening[] = []
  const listeners = new Set<() => void>()
  const run = newId().slice(0, 8)
  let told = 0

  function tell(owner: OwnerId, name: EventName, account: Account): void {
    told += 1
    past.push({ owner, event: { id: `${run}-${told}`, name, at: now(), account } })
    if (past.length > REMEMBERED) past.shift()
    for (const wake of listeners) wake()
  }

  async function* listen(
    owner: OwnerId,
    { after, signal }: { after?: string; signal?: AbortSignal },
  ): AsyncGenerator<ValetkeyEvent> {
    let seen = after === undefined ? told : numberOf(after)
    while (signal?.aborted !== true) {
      for (const { owner: whose, event } of past.filter((one) => numberOf(one.event.id) > seen)) {
        seen = numberOf(event.id)
        if (whose === owner) yield event
      }
      if (seen >= told) await woken(signal)
    }
  }

  /** An id of an earlier run says nothing here, so its holder is told all that is remembered. */
  function numberOf(id: string): number {
    const [of, number] = id.split('-')
    return of === run ? Math.min(Number(number) || 0, told) : 0
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

  return { tell, listen }
}
