import { type AskEvent, type EventName, type EventQuery, ValetkeyError } from '#client'
import { type Caller, isOwner, type OwnerId } from '../model/caller.ts'
import type { Account, Ask, ValetkeyEvent } from '../model/words.ts'

const REMEMBERED = 1000
/** Each holds a connection open. A program needs one, and a person one for every window. */
const MOST_LISTENING = 64

/** When something happened, and as which of all that this broker told. An event's id is both. */
interface Moment {
  readonly at: number
  readonly number: number
}

interface Happening extends Moment {
  readonly owner: OwnerId
  /** Who hears of it besides the owner: for an account, whoever was bound to it when it happened. */
  readonly bound: readonly string[]
  readonly event: ValetkeyEvent
}

export type MayKnow = (accountId: string) => Promise<boolean>

/** What changed, told to whoever listens at the time or comes back soon after. */
export interface Happenings {
  /** Besides the owner only those hear of it who may know of the account. */
  tell(owner: OwnerId, name: EventName, account: Account, bound: readonly string[]): void
  /** The owner hears that somebody asks; the answer is heard by whoever asked as well. */
  tellAsk(owner: OwnerId, name: AskEvent['name'], ask: Ask): void
  /** `mayKnow`: whether the caller may know of this account now, for what happened before it listened. */
  listen(caller: Caller, query: EventQuery, mayKnow: MayKnow): AsyncIterable<ValetkeyEvent>
  forget(owner: OwnerId): void
}

export function openHappenings(now: () => Date): Happenings {
  let past: readonly Happening[] = []
  let last: Moment = { at: 0, number: 0 }
  const listeners = new Set<() => void>()
  const listening = new Map<string, number>()

  function tell(owner: OwnerId, name: EventName, account: Account, bound: readonly string[]): void {
    remember(owner, bound, (stamp) => ({ ...stamp, name, account }))
  }

  function tellAsk(owner: OwnerId, name: AskEvent['name'], ask: Ask): void {
    remember(owner, name === 'decided' ? [ask.caller] : [], (stamp) => ({ ...stamp, name, ask }))
  }

  function remember(
    owner: OwnerId,
    bound: readonly string[],
    made: (stamp: Pick<ValetkeyEvent, 'id' | 'at'>) => ValetkeyEvent,
  ): void {
    const at = now()
    // A clock that is set back does not put a later event before an earlier one.
    last = { at: Math.max(at.getTime(), last.at), number: last.number + 1 }
    const event = made({ id: `${last.at}-${last.number}`, at })
    past = [...past, { ...last, owner, bound, event }].slice(-REMEMBERED)
    for (const wake of listeners) wake()
  }

  async function* listen(caller: Caller, query: EventQuery, mayKnow: MayKnow): AsyncGenerator<ValetkeyEvent> {
    const who = `${caller.owner} ${caller.id}`
    const already = listening.get(who) ?? 0
    if (already >= MOST_LISTENING) throw tooMany()
    listening.set(who, already + 1)
    try {
      const begun = last
      for await (const one of news(caller, query))
        if (isOwner(caller) || isLater(one, begun) || isLast(one) || (await isTheirs(one, mayKnow)))
          yield one.event
    } finally {
      const left = (listening.get(who) ?? 1) - 1
      if (left > 0) listening.set(who, left)
      else listening.delete(who)
    }
  }

  async function* news(caller: Caller, { after, signal }: EventQuery): AsyncGenerator<Happening> {
    let seen = after === undefined ? last : momentOf(after)
    while (signal?.aborted !== true) {
      const told = last
      const later = past.filter((one) => isLater(one, seen) && concerns(one, caller))
      seen = isLater(told, seen) ? told : seen
      yield* later
      if (told === last) await woken(signal)
    }
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

  return { tell, tellAsk, listen, forget }
}

function tooMany(): ValetkeyError {
  return new ValetkeyError('resource-exhausted', `${MOST_LISTENING} streams of events are open already`, {
    hint: 'close one of them, or let several listeners share one',
  })
}

function concerns({ owner, bound }: Happening, caller: Caller): boolean {
  return owner === caller.owner && (isOwner(caller) || bound.includes(caller.id))
}

/** The bindings ended with the account, so whoever was bound at the time is told of that. */
function isLast({ event }: Happening): boolean {
  return event.name === 'revoked'
}

/** What was answered stays the business of whoever asked. */
async function isTheirs({ event }: Happening, mayKnow: MayKnow): Promise<boolean> {
  return 'ask' in event || mayKnow(event.account.id)
}

/** The moments of an earlier run count too: by them a listener goes on where that one ended. */
function momentOf(id: string): Moment {
  const [at, number] = id.split('-').map((part) => Number(part) || 0)
  return { at: at ?? 0, number: number ?? 0 }
}

function isLater(one: Moment, other: Moment): boolean {
  return one.at === other.at ? one.number > other.number : one.at > other.at
}
