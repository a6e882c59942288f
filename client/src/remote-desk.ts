import type { ConnectRequest, Desk, KeeperDesk } from './desk.ts'
import { eventsBy } from './events.ts'
import { fetchBy, forwardBy } from './gateway.ts'
import { call, type Path, type Query, type Wire } from './wire.ts'

export type { Fetch, Wire } from './wire.ts'

export interface RemoteDesk {
  readonly desk: Desk
  readonly keeper: KeeperDesk
  /** A `fetch` whose requests are done by the broker, with the account's credential. */
  fetchAs(address: string): typeof globalThis.fetch
  /** A link to the page, good once and for two minutes. Made for the owner at the socket only. */
  newLink(): Promise<string>
  /** Where requests are taken from whoever shows a key. */
  gateway(): Promise<string>
}

/** The verbs of a Valetkey elsewhere: another process at a socket, or a server. */
export function remoteDesk(wire: Wire): RemoteDesk {
  return {
    desk: deskBy(wire),
    keeper: keeperBy(wire),
    fetchAs: (address) => fetchBy(wire, address),
    newLink: async () => (await verbsBy(wire).post<{ url: string }>(['session', 'link'])).url,
    gateway: async () => (await verbsBy(wire).get<{ url: string }>(['gateway'])).url,
  }
}

function deskBy(wire: Wire): Desk {
  const { get, post, remove } = verbsBy(wire)
  return {
    providers: () => get(['providers']),
    connect: ({ provider, ...rest }) =>
      provider === undefined || isLink(provider)
        ? post(['connect'], { ...rest, ...(provider !== undefined && { provider }) })
        : post(['providers', provider, 'connect'], rest),
    reconnect: (address, request) => post(['accounts', address, 'reconnect'], nameless(request)),
    rotate: (address, request) => post(['accounts', address, 'rotate'], nameless(request)),
    flows: () => get(['flows']),
    flow: (id) => get(['flows', id]),
    answer: (id, answer) => post(['flows', id, 'answer'], answer),
    cancel: (id) => remove(['flows', id]),
    accounts: () => get(['accounts']),
    refresh: (address) => post(['accounts', address, 'refresh']),
    lend: (request) => post(['lend'], request),
    reveal: (request) => post(['reveal'], request),
    forward: (request) => forwardBy(wire, request),
    rotateEvery: (address, days) => post(['accounts', address, 'rotate-every'], { days }),
    revoke: (address) => remove(['accounts', address]),
    revokeCaller: (caller) => post(['revoke-caller'], { caller }),
    revokeAll: () => post(['revoke-all']),
    outbox: () => get(['outbox']),
    bind: (request) => post(['bindings'], request),
    unbind: (id) => remove(['bindings', id]),
    bindings: () => get(['bindings']),
    narrow: (request) => post(['keys'], request),
    keys: () => get(['keys']),
    endKey: (id) => remove(['keys', id]),
    ask: (request) => post(['asks'], request),
    asks: () => get(['asks']),
    asked: (id, waitSeconds) => get(['asks', id], waitSeconds === undefined ? {} : { wait: waitSeconds }),
    decide: (id, decision) => post(['asks', id, 'decide'], { decision }),
    register: (request) => post(['registrations'], request),
    unregister: (id, { insist } = {}) => remove(['registrations', id], insist ? { insist: 'true' } : {}),
    registrations: () => get(['registrations']),
    leases: ({ ended } = {}) => get(['leases'], ended ? { ended: 'true' } : {}),
    endLease: (id) => remove(['leases', id]),
    usage: (query) => get(['usage'], { ...query }),
    audit: (query) => get(['audit'], { ...query }),
    events: (query) => eventsBy(wire, query),
  }
}

function keeperBy(wire: Wire): KeeperDesk {
  const { get, post } = verbsBy(wire)
  return {
    status: () => get(['vault']),
    lock: () => post(['vault', 'lock']),
    unlock: (passphrase) => post(['vault', 'unlock'], { passphrase }),
    rekey: (request) => post(['vault', 'rekey'], request),
    revokeEverything: (owner) =>
      owner === undefined ? post(['vault', 'revoke-everything']) : post(['vault', 'revoke-owner'], { owner }),
    eraseOwner: (owner) => post(['vault', 'erase-owner'], { owner }),
    acceptRestore: () => post(['vault', 'accept-restore']),
    export: async (passphrase) => {
      return (await post<{ document: string }>(['vault', 'export'], { passphrase })).document
    },
    import: (document, passphrase, options) =>
      post(['vault', 'import'], { document, passphrase, ...options }),
    verifyAudit: () => post(['audit', 'verify']),
    pruneAudit: (before) => post(['audit', 'prune'], { before }),
  }
}

function verbsBy(wire: Wire) {
  return {
    get: <T>(path: Path, query?: Query) => call<T>(wire, { method: 'GET', path, query }),
    post: <T>(path: Path, body?: unknown) => call<T>(wire, { method: 'POST', path, body }),
    remove: <T>(path: Path, query?: Query) => call<T>(wire, { method: 'DELETE', path, query }),
  }
}

function isLink(provider: string): boolean {
  return provider.includes('://')
}

/** The account is named in the path, and keeps its provider. */
function nameless({
  provider: _,
  as: __,
  ...rest
}: ConnectRequest = {}): Omit<ConnectRequest, 'provider' | 'as'> {
  return rest
}
