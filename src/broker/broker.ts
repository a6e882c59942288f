import { auditChain } from '../gate/chain.ts'
import { openGate } from '../gate/gate.ts'
import type { Broker } from '../model/broker.ts'
import type { Callbacks } from '../model/callbacks.ts'
import type { Client, Flow } from '../model/flow.ts'
import type { Anchor } from '../model/gate.ts'
import type { Network } from '../model/network.ts'
import type { Catalogue } from '../model/provider.ts'
import { EVERY_OWNER, type Storage } from '../model/storage.ts'
import { deskOf } from './desk.ts'
import { openingsOf } from './forwarding/openings.ts'
import { isLocked, openStreams } from './forwarding/streams.ts'
import { openHappenings } from './happenings.ts'
import { hearOthers } from './hearsay.ts'
import { type House, keeperDesk } from './keeper.ts'
import type { Kit } from './kit.ts'
import { openLanes } from './outbox/lanes.ts'
import { IN_HAND_MS, takeUpOutbox, tellOwed } from './outbox/outbox.ts'
import { accessTokens } from './renewing/access-tokens.ts'
import { renewalsOver } from './renewing/single-flight.ts'
import { openBreaker } from './schedule/breaker.ts'
import { openPace } from './schedule/pace.ts'
import { goOn } from './schedule/polling.ts'
import { chore, openSchedule, type Schedule, type Timer, usualTimer } from './schedule/schedule.ts'
import { sweeper } from './schedule/sweep.ts'
import { lookAfter } from './schedule/upkeep.ts'
import { standing } from './standing.ts'

export interface BrokerParts extends Omit<House, 'startedAt'> {
  readonly storage: Storage
  readonly catalogue: Catalogue
  readonly flows: readonly Flow[]
  readonly network: Network
  readonly callbacks: Callbacks
  readonly clients: Readonly<Record<string, Client>>
  readonly anchor: Anchor
  readonly now: () => Date
  readonly monotonic: () => number
  /** By what the schedule sleeps, where that is not the usual one. */
  readonly timer?: Timer | undefined
  readonly newId: () => string
  /** Told where the record stands now and then, and of a sync that failed; nothing secret is among it. */
  readonly log?: ((line: string) => void) | undefined
}

/** Of what is claimed so much is in hand at once; what may not be done yet is given back with another time. */
const AT_ONCE = 32
const HELD_MS = 2 * 60_000
const TOLD_AT_ONCE = 16
/** So long the end of the house waits for what providers are about to answer. */
const LAST_ANSWERS_MS = 35_000

/** A broker, with a way to have done at once what it does by itself. */
export interface RunningBroker extends Broker, Pick<Schedule, 'tick'> {
  /** Whether a provider has still to be told of something, and this broker can. */
  owes(): Promise<boolean>
}

/** Puts the verbs together over what was handed in. The vault may still be locked. */
export async function openBroker(parts: BrokerParts): Promise<RunningBroker> {
  const { storage, keeper, anchor, now, monotonic, newId } = parts
  const { vault } = keeper
  const chain = auditChain({ storage, vault, anchor, now, ...(parts.log && { log: parts.log }) })
  const gate = openGate({ chain, standing: (caller, target) => standing(kit, caller, target), now })
  const kit: Kit = {
    gate,
    chain,
    vault,
    storage,
    catalogue: parts.catalogue,
    flows: new Map(parts.flows.map((flow) => [flow.id, flow])),
    network: parts.network,
    happenings: openHappenings(now),
    callbacks: parts.callbacks,
    clients: parts.clients,
    desk: (caller) => deskOf(kit, caller),
    accessTokens: accessTokens(monotonic),
    refreshing: new Map(),
    awaited: new Map(),
    breaker: openBreaker(monotonic),
    pace: openPace(monotonic),
    lanes: openLanes(monotonic),
    schedule: openSchedule(
      () => kit,
      parts.timer ?? usualTimer,
      () => chores,
    ),
    unwritten: new Map(),
    troubles: new Map(),
    refusedFresh: new Map(),
    openings: openingsOf(() => kit),
    streams: openStreams({ storage, vault, now }),
    returning: new Map(),
    now,
    monotonic,
    newId,
    sweep: () => sweep(),
    holder: newId(),
  }
  const hold = { atOnce: AT_ONCE, heldMs: HELD_MS }
  const chores = [
    chore(kit, { ...hold, table: 'accounts', work: (account) => lookAfter(kit, account) }),
    chore(kit, {
      ...hold,
      table: 'flowSessions',
      also: { state: 'asking' },
      work: (session) => goOn(kit, session),
    }),
    chore(kit, {
      table: 'outbox',
      atOnce: TOLD_AT_ONCE,
      heldMs: IN_HAND_MS,
      work: (entry) => tellOwed(kit, entry),
    }),
  ]
  const sweep = sweeper(kit)
  hearOthers(kit)
  const house: House = { ...parts, startedAt: now() }
  if (!vault.locked) await chain.resume()
  await sweep()
  await takeUpOutbox(kit)
  kit.schedule.expect(now().getTime())

  return {
    as: kit.desk,
    keeper: (caller) => keeperDesk(kit, house, caller),
    tick: kit.schedule.tick,
    owes: async () => {
      if (vault.locked || chain.restored) return false
      return (await storage.list('outbox', { owner: EVERY_OWNER }, { limit: 1 })).length > 0
    },
    async close() {
      await kit.schedule.close()
      await renewalsOver(kit, LAST_ANSWERS_MS)
      for (const place of kit.returning.values()) await place.close()
      await chain.pause()
      kit.accessTokens.forgetAll()
      kit.streams.cut({}, isLocked())
      keeper.lock()
      await parts.network.close()
      await storage.close()
    },
  }
}
