import type { EventQuery } from '#client'
import type { Caller } from '../model/caller.ts'
import type { Gateway } from '../model/gateway.ts'
import type { Desk, ValetkeyEvent } from '../model/words.ts'
import { ask } from './asks/ask.ts'
import { decide } from './asks/decide.ts'
import { asked, asks } from './asks/waiting.ts'
import { bind, bindingsOf, isBound, unbind } from './bindings.ts'
import { listRegistrations, register } from './clients/registrations.ts'
import { unregister } from './clients/unregister.ts'
import { answer, cancel, connect, lookAt, renew } from './connect.ts'
import { forward } from './forward.ts'
import { forwardWeb } from './forwarding/web.ts'
import { listProviders } from './gallery.ts'
import { isNarrowed } from './keys/line.ts'
import { endKey, listKeys } from './keys/listing.ts'
import { narrow } from './keys/narrow.ts'
import { behind, type Kit } from './kit.ts'
import { endLease, listLeases } from './leases.ts'
import { lend } from './lend.ts'
import { listOutbox } from './outbox/outbox.ts'
import { refresh } from './refresh.ts'
import { revoke, revokeAll } from './revoke.ts'
import { revokeCaller } from './revoke-caller.ts'
import { rotateEvery } from './rotation.ts'
import { listFlows } from './sign-ins/listing.ts'
import { listAccounts } from './standing.ts'
import { listUsage } from './usage.ts'

/** The verbs as one caller may use them. Nothing is done while the vault is locked. */
export function deskOf(kit: Kit, caller: Caller): Desk {
  /** A verb that first sees to it that the vault is open. */
  function awake<A extends unknown[], R>(verb: (kit: Kit, caller: Caller, ...args: A) => Promise<R>) {
    return async (...args: A): Promise<R> => {
      kit.vault.refuseLocked()
      await kit.sweep()
      return verb(kit, caller, ...args)
    }
  }

  return {
    providers: () => listProviders(kit),
    connect: awake(connect),
    reconnect: awake((kit, caller, address, request) => renew(kit, caller, 'reconnect', address, request)),
    rotate: awake((kit, caller, address, request) => renew(kit, caller, 'rotate', address, request)),
    flows: awake(listFlows),
    flow: awake(lookAt),
    answer: awake(answer),
    cancel: awake(cancel),
    accounts: awake(listAccounts),
    refresh: awake(refresh),
    lend: awake((kit, caller, request) => lend(kit, caller, 'lend', request)),
    reveal: awake((kit, caller, request) => lend(kit, caller, 'reveal', request)),
    forward: awake(forwardWeb),
    rotateEvery: awake(rotateEvery),
    revoke: awake(revoke),
    revokeCaller: awake(revokeCaller),
    revokeAll: awake(revokeAll),
    outbox: awake(listOutbox),
    bind: awake(bind),
    unbind: awake(unbind),
    bindings: awake(bindingsOf),
    ask: awake(ask),
    asks: awake(asks),
    asked: awake(asked),
    decide: awake(decide),
    narrow: awake(narrow),
    keys: awake(listKeys),
    endKey: awake(endKey),
    register: awake(register),
    unregister: awake(unregister),
    registrations: awake(listRegistrations),
    leases: awake(listLeases),
    endLease: awake(endLease),
    usage: awake(listUsage),
    audit: awake(readAudit),
    events: (query) => listen(kit, caller, query),
  }
}

/** What is forwarded on Node's streams. */
export function gatewayOf(kit: Kit, caller: Caller): Gateway {
  return {
    async forward(crossing, taker) {
      kit.vault.refuseLocked()
      await kit.sweep()
      return forward(kit, caller, crossing, taker)
    },
  }
}

async function* listen(kit: Kit, caller: Caller, query: EventQuery = {}): AsyncGenerator<ValetkeyEvent> {
  kit.vault.refuseLocked()
  const mayKnow = (accountId: string) => isBound(kit, caller, accountId)
  const { owner, id } = caller
  if (!isNarrowed(id)) return yield* kit.happenings.listen(caller, query, mayKnow)
  // It is cut off with its caller, like all that is under way.
  const stream = kit.streams.open({ owner, caller: id, accountId: '' })
  const signal = AbortSignal.any([stream.signal, ...(query.signal ? [query.signal] : [])])
  try {
    yield* kit.happenings.listen(caller, { ...query, signal }, mayKnow)
    stream.signal.throwIfAborted()
  } finally {
    stream.end()
  }
}

const readAudit = async (kit: Kit, caller: Caller, query: Parameters<Desk['audit']>[0] = {}) => {
  const passage = await kit.gate.pass(caller, 'read-audit', { name: 'the record' })
  return behind(passage, () => kit.chain.read(caller.owner, query))
}
