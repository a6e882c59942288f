import { auditChain } from '../gate/chain.ts'
import { openGate } from '../gate/gate.ts'
import type { Broker } from '../model/broker.ts'
import type { Callbacks } from '../model/callbacks.ts'
import type { Client, Flow } from '../model/flow.ts'
import type { Anchor } from '../model/gate.ts'
import type { Network } from '../model/network.ts'
import type { Catalogue } from '../model/provider.ts'
import type { Storage } from '../model/storage.ts'
import { deskOf } from './desk.ts'
import { openHappenings } from './happenings.ts'
import { hearOthers } from './hearsay.ts'
import { type House, keeperDesk } from './keeper.ts'
import type { Kit } from './kit.ts'
import { standing } from './standing.ts'
import { sweeper } from './sweep.ts'

export interface BrokerParts extends Omit<House, 'startedAt'> {
  readonly storage: Storage
  readonly catalogue: Catalogue
  readonly flows: readonly Flow[]
  readonly network: Network
  readonly callbacks: Callbacks
  readonly clients: Readonly<Record<string, Client>>
  readonly anchor: Anchor
  readonly now: () => Date
  readonly newId: () => string
}

/** Puts the verbs together over what was handed in. The vault may still be locked. */
export async function openBroker(parts: BrokerParts): Promise<Broker> {
  const { storage, keeper, anchor, now, newId } = parts
  const { vault } = keeper
  const chain = auditChain({ storage, vault, anchor, now })
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
    refreshing: new Map(),
    returning: new Map(),
    now,
    newId,
    sweep: () => sweep(),
    holder: newId(),
  }
  const sweep = sweeper(kit)
  hearOthers(kit)
  const house: House = { ...parts, startedAt: now() }
  if (!vault.locked) await chain.resume()
  await sweep()

  return {
    as: kit.desk,
    keeper: (caller) => keeperDesk(kit, house, caller),
    async close() {
      for (const place of kit.returning.values()) await place.close()
      await chain.pause()
      keeper.lock()
      await parts.network.close()
      await storage.close()
    },
  }
}
