import { hostname } from 'node:os'
import type { Who } from '#client'
import { auditChain } from '../gate/chain.ts'
import { openGate } from '../gate/gate.ts'
import type { Broker } from '../model/broker.ts'
import type { Callbacks } from '../model/callbacks.ts'
import type { Proof } from '../model/caller.ts'
import type { Client, Flow } from '../model/flow.ts'
import type { Anchor } from '../model/gate.ts'
import type { Mint } from '../model/mint.ts'
import type { StreamingNetwork } from '../model/network.ts'
import type { Catalogue } from '../model/provider.ts'
import type { References } from '../model/references.ts'
import type { Sockets } from '../model/sockets.ts'
import { EVERY_OWNER, type Storage } from '../model/storage.ts'
import { openPermits } from './asks/permits.ts'
import { deskOf, gatewayOf } from './desk.ts'
import { openingsOf } from './forwarding/openings.ts'
import { isLocked, openStreams } from './forwarding/streams.ts'
import { openHappenings } from './happenings.ts'
import { hearOthers } from './hearsay.ts'
import { type House, keeperDesk } from './keeper.ts'
import { type KeyringParts, openKeyring } from './keys/keyring.ts'
import { recognise } from './keys/recognise.ts'
import type { Kit } from './kit.ts'
import { openMinted } from './minting/minted.ts'
import { openLanes } from './outbox/lanes.ts'
import { IN_HAND_MS, takeUpOutbox, tellOwed } from './outbox/outbox.ts'
import { openReadings } from './references.ts'
import { accessTokens } from './renewing/access-tokens.ts'
import { renewalsOver } from './renewing/single-flight.ts'
import { openBreaker } from './schedule/breaker.ts'
import { openPace } from './schedule/pace.ts'
import { goOn } from './schedule/polling.ts'
import { chore, openSchedule, type Schedule, type Timer, usualTimer } from './schedule/schedule.ts'
import { sweeper } from './schedule/sweep.ts'
import { lookAfter } from './schedule/upkeep.ts'
import { recalledStanding } from './standing.ts'
import { voucherAt } from './vouching.ts'
import { openLedger } from './warm/ledger.ts'
import { noMemory, openMemory } from './warm/memory.ts'
import { watched } from './warm/watched.ts'

export interface BrokerParts extends Omit<House, 'startedAt'> {
  readonly storage: Storage
  readonly catalogue: Catalogue
  readonly flows: readonly Flow[]
  readonly mints?: readonly Mint[] | undefined
  readonly network: StreamingNetwork
  readonly callbacks: Callbacks
  /** Without it no value is read elsewhere. */
  readonly references?: References | undefined
  readonly clients: Readonly<Record<string, Client>>
  readonly clientDocument?: string | undefined
  readonly vendorLogins?: readonly string[] | undefined
  /** Which program this is, on which computer, in words for a person. */
  readonly device?: string | undefined
  readonly anchor: Anchor
  /** Which program stands behind a caller, where more can be known than the proof says. */
  readonly who?: (proof: Proof) => Who
  readonly now: () => Date
  readonly monotonic: () => number
  /** By what the schedule sleeps, where that is not the usual one. */
  readonly timer?: Timer | undefined
  readonly newId: () => string
  /** By what processes are told apart that somebody shall end with; without it nobody does. */
  readonly markOf?: KeyringParts['markOf'] | undefined
  /** Told where the record stands now and then, and of a sync that failed; nothing secret is among it. */
  readonly log?: ((line: string) => void) | undefined
}

/** Of what is claimed so much is in hand at once; what may not be done yet is given back with another time. */
const AT_ONCE = 32
const HELD_MS = 2 * 60_000
const TOLD_AT_ONCE = 16
/** So long the end of the house waits for what providers are about to answer. */
const LAST_ANSWERS_MS = 35_000

/** As much of a program as its proof says. */
const asProved = ({ door, executable, uid, pid }: Proof): Who => {
  return { door, executable: executable ?? null, chain: [], uid: uid ?? null, pid: pid ?? null }
}

/** A broker, with a way to have done at once what it does by itself. */
export interface RunningBroker extends Broker, Pick<Schedule, 'tick'> {
  /** Whether a provider has still to be told of something, and this broker can. */
  owes(): Promise<boolean>
  /** Callers that are sockets come in there; until then there are none. */
  listenAt(sockets: Sockets): Promise<void>
  /** Whether callers may come in at sockets of their own, which end with this broker unless another one opens them. */
  hasSockets(): boolean
}

/** Puts the verbs together over what was handed in. The vault may still be locked. */
export async function openBroker(parts: BrokerParts): Promise<RunningBroker> {
  const { keeper, anchor, now, monotonic, newId } = parts
  const { vault } = keeper
  const memory = parts.storage.shared ? noMemory() : openMemory(parts)
  const ledger = openLedger()
  const changed = () => {
    memory.forget()
    ledger.forget()
  }
  const storage = parts.storage.shared ? parts.storage : watched(parts.storage, changed)
  const chain = auditChain({
    storage: parts.storage,
    vault,
    anchor,
    now,
    beside: ledger.take,
    log: parts.log,
  })
  const gate = openGate({
    chain,
    standing: (caller, target) => recalledStanding(kit, caller, target),
    permits: openPermits(() => kit),
    now,
  })
  const kit: Kit = {
    gate,
    chain,
    vault,
    storage,
    catalogue: parts.catalogue,
    flows: new Map(parts.flows.map((flow) => [flow.id, flow])),
    mints: new Map((parts.mints ?? []).map((mint) => [mint.how, mint])),
    network: parts.network,
    happenings: openHappenings(now),
    callbacks: parts.callbacks,
    clients: parts.clients,
    clientDocument: parts.clientDocument,
    vendorLogins: new Set(parts.vendorLogins),
    device: parts.device,
    desk: (caller) => deskOf(kit, caller),
    voucherAt: (whose, address) => voucherAt(kit, whose, address),
    accessTokens: accessTokens(monotonic),
    readings: openReadings(parts),
    minted: openMinted(now, monotonic, storage.shared === true),
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
    memory,
    ledger,
    openings: openingsOf(() => kit),
    windows: new Map(),
    streams: openStreams({ storage, vault, now }),
    keyring: openKeyring(() => kit, {
      markOf: parts.markOf ?? (() => undefined),
      // Where nobody else has the vault, there is no other place.
      here: storage.shared ? `${hostname()} ${parts.socket}` : 'here',
    }),
    returning: new Map(),
    undecided: new Map(),
    who: parts.who ?? asProved,
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
  if (!vault.locked) await kit.keyring.takeUp()
  await sweep()
  await takeUpOutbox(kit)
  kit.schedule.expect(now().getTime())

  return {
    as: kit.desk,
    gateway: (caller) => gatewayOf(kit, caller),
    recognise: (key, proof) => recognise(kit, key, proof),
    listenAt: kit.keyring.listenAt,
    hasSockets: kit.keyring.hasSockets,
    keeper: (caller) => keeperDesk(kit, house, caller),
    tick: kit.schedule.tick,
    owes: async () => {
      if (vault.locked || chain.restored) return false
      return (await storage.list('outbox', { owner: EVERY_OWNER }, { limit: 1 })).length > 0
    },
    async close() {
      await kit.schedule.close()
      await kit.keyring.close()
      await renewalsOver(kit, LAST_ANSWERS_MS)
      for (const place of kit.returning.values()) await place.close()
      await chain.pause()
      kit.accessTokens.forgetAll()
      kit.readings.forgetAll()
      kit.minted.forgetAll()
      memory.forget()
      kit.streams.cut({}, isLocked())
      keeper.lock()
      await parts.network.close()
      await storage.close()
    },
  }
}
