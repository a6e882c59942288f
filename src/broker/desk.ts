import { type EventQuery, type ProviderCard, ValetkeyError } from '#client'
import type { Caller } from '../model/caller.ts'
import type { Provider } from '../model/provider.ts'
import type { Desk, ValetkeyEvent } from '../model/words.ts'
import { bind, bindingsOf, unbind } from './bindings.ts'
import { answer, cancel, connect, lookAt, renew } from './connect.ts'
import { forward } from './forward.ts'
import { behind, type Kit } from './kit.ts'
import { endLease, listLeases } from './leases.ts'
import { lend } from './lend.ts'
import { refresh } from './refresh.ts'
import { listRegistrations, register, unregister } from './registrations.ts'
import { revoke } from './revoke.ts'
import { listAccounts } from './standing.ts'

/** The verbs as one caller may use them. Nothing is done while the vault is locked. */
export function deskOf(kit: Kit, caller: Caller): Desk {
  /** A verb that first sees to it that the vault is open. */
  function awake<A extends unknown[], R>(verb: (kit: Kit, caller: Caller, ...args: A) => Promise<R>) {
    return async (...args: A): Promise<R> => {
      refuseLocked(kit)
      await kit.sweep()
      return verb(kit, caller, ...args)
    }
  }

  return {
    providers: async () => listProviders(kit),
    connect: awake(connect),
    reconnect: awake((kit, caller, address, request) => renew(kit, caller, 'reconnect', address, request)),
    rotate: awake((kit, caller, address, request) => renew(kit, caller, 'rotate', address, request)),
    flow: awake(lookAt),
    answer: awake(answer),
    cancel: awake(cancel),
    accounts: awake(listAccounts),
    refresh: awake(refresh),
    lend: awake((kit, caller, request) => lend(kit, caller, 'lend', request)),
    reveal: awake((kit, caller, request) => lend(kit, caller, 'reveal', request)),
    forward: awake(forward),
    revoke: awake(revoke),
    bind: awake(bind),
    unbind: awake(unbind),
    bindings: awake(bindingsOf),
    register: awake(register),
    unregister: awake(unregister),
    registrations: awake(listRegistrations),
    leases: awake(listLeases),
    endLease: awake(endLease),
    audit: awake(readAudit),
    events: (query) => listen(kit, caller, query),
  }
}

function refuseLocked({ vault }: Kit): void {
  if (vault.locked)
    throw new ValetkeyError('locked', 'the vault is locked', { hint: 'valetkey vault unlock' })
}

async function* listen(kit: Kit, caller: Caller, query: EventQuery = {}): AsyncGenerator<ValetkeyEvent> {
  refuseLocked(kit)
  yield* kit.happenings.listen(caller, query)
}

function listProviders(kit: Kit): readonly ProviderCard[] {
  return kit.catalogue.list().map(({ id, name, category, signIns, hosts, registration }) => ({
    id,
    name,
    category,
    hosts,
    flows: signIns.map((signIn) => signIn.flow).filter((flow) => kit.flows.has(flow)),
    needs: needs(kit, signIns[0]?.flow, id, registration),
    from: kit.catalogue.isBuiltIn(id) ? 'built-in' : 'yours',
  }))
}

/** A sign-in by browser needs a client at the provider, unless one comes with it or can be made on the spot. */
function needs(kit: Kit, flow: string | undefined, id: string, how: Provider['registration']) {
  const client = kit.flows.get(flow ?? '')?.comesBack && how === 'yours' && !Object.hasOwn(kit.clients, id)
  return client ? 'own-client' : 'nothing'
}

const readAudit = async (kit: Kit, caller: Caller, query: Parameters<Desk['audit']>[0] = {}) => {
  const passage = await kit.gate.pass(caller, 'read-audit', { name: 'the record' })
  return behind(passage, () => kit.chain.read(caller.owner, query))
}
