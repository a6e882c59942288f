import dns from 'node:dns'
import type { LookupFunction } from 'node:net'
import { getCACertificates } from 'node:tls'
import { Agent, buildConnector, fetch } from 'undici'
import { ValetkeyError } from '#client'
import type { ClientCertificate, Outgoing, Sending, StreamingNetwork } from '../model/network.ts'
import { closedAddress, closedHost } from './addresses.ts'
import { agentsBy } from './agents.ts'
import { answerOf } from './answer.ts'
import { type Opened, openedBy } from './opened.ts'
import { judgePin, type Pins, type PinsByHost, pinsBy } from './pins.ts'
import { streamOver, upgradeOver } from './streams.ts'
import { troubleOf, unconnected } from './trouble.ts'

export interface NetworkOptions {
  /** What the operator opened by name; see `openedBy`. */
  readonly allow: readonly string[]
  /** By host: the keys that its certificate may have, whoever vouches for it. */
  readonly pins?: PinsByHost
  /** Certificates, as PEM, that are trusted beside those of the system. */
  readonly ca?: readonly string[]
  readonly connectSeconds?: number
  /** Until the headers are there; a body may then go on for as long as pieces of it arrive. */
  readonly answerSeconds?: number
  /** How long a body may be silent between two pieces. */
  readonly silenceSeconds?: number
  /** For every answer, counted as it is handed on. */
  readonly maxBytes?: number
  /** How names become addresses; the system's own way unless said otherwise. */
  readonly lookup?: typeof dns.lookup
}

/** Whoever passes something on knows for itself how long it waits for an answer that is long in coming. */
const PATIENT_SECONDS = 600

/** The way out. Every request is judged by its address, and again at each new connection. */
export function openNetwork(options: NetworkOptions): StreamingNetwork {
  const opened = openedBy(options.allow)
  const agents = agentsBy(
    (certificate) =>
      new Agent({
        connect: guardedConnector(opened, options, certificate),
        // Both directions of a stream pass more predictably over HTTP/1.1.
        allowH2: false,
        headersTimeout: (options.answerSeconds ?? 30) * 1000,
        bodyTimeout: (options.silenceSeconds ?? 300) * 1000,
      }),
  )
  const headersTimeout = (options.answerSeconds ?? PATIENT_SECONDS) * 1000
  const asking = (request: Sending) => ({
    agent: agents.of(request),
    maxBytes: options.maxBytes,
    headersTimeout,
  })
  return {
    stream: async (url, request, begun) => {
      judge(url, opened)
      return streamOver(asking(request), url, request, begun)
    },
    upgrade: async (url, request, begun) => {
      judge(url, opened)
      return upgradeOver(asking(request), url, request, begun)
    },
    fetch: async (url, request = {}) => {
      judge(url, opened)
      try {
        const answer = await fetch(url, { ...initOf(url, request), dispatcher: agents.of(request) })
        return answerOf(answer, { url, signal: request.signal, maxBytes: options.maxBytes })
      } catch (error) {
        throw troubleOf(error, url.host, request.signal)
      }
    },
    close: () => agents.close(),
  }
}

/** Throws `host-not-allowed` for an address that needs no connection to be refused. */
function judge(url: URL, opened: Opened): void {
  if (url.username !== '' || url.password !== '') {
    throw new ValetkeyError('host-not-allowed', `an address at ${url.host} carries a name or a password`, {
      hint: 'leave out what stands before the @',
    })
  }
  if (opened.has(url)) return
  if (url.protocol !== 'https:') throw refusal(url.host, 'is not reached over https')
  const kind = closedHost(url.hostname)
  if (kind) throw refusal(url.host, `is a ${kind} address`)
}

function refusal(host: string, why: string): ValetkeyError {
  return new ValetkeyError('host-not-allowed', `${host} ${why}, so nothing is sent there`, {
    hint: `if it is yours, add "${host}" to "allow" in the configuration`,
  })
}

function initOf(url: URL, request: Outgoing) {
  const headers = [...pairs(request.headers)]
  if (headers.some(([name]) => name.toLowerCase() === 'host')) {
    throw new ValetkeyError('invalid-request', `the request for ${url.host} names another host in a header`)
  }
  return {
    method: request.method ?? 'GET',
    headers,
    body: request.body ?? null,
    signal: request.signal ?? null,
    duplex: 'half',
    redirect: 'manual',
    credentials: 'omit',
    referrerPolicy: 'no-referrer',
  } as const
}

function* pairs(headers: Outgoing['headers'] = {}): Generator<[string, string]> {
  for (const [name, value] of Symbol.iterator in headers ? headers : Object.entries(headers)) {
    yield [name, value]
  }
}

/** Judges once more where a connection is really made; an opened origin has connections of its own. */
function guardedConnector(
  opened: Opened,
  options: NetworkOptions,
  certificate: ClientCertificate | undefined,
): buildConnector.connector {
  const pins = pinsBy(options.pins ?? {})
  const lookup = options.lookup ?? dns.lookup
  const open = connectorFor(options, lookup as LookupFunction, certificate)
  const guarded = connectorFor(options, guardedLookup(lookup), certificate)
  return (to, callback) => {
    const url = new URL(`${to.protocol}//${to.host ?? to.hostname}`)
    try {
      judge(url, opened)
    } catch (error) {
      return callback(error as Error, null)
    }
    return (opened.has(url) ? open : guarded)(to, marked(pinned(url, pins, callback)))
  }
}

/** What ends here ended before anything was sent, and is told apart by that. */
function marked(callback: buildConnector.Callback): buildConnector.Callback {
  return (...made) => (made[0] === null ? callback(...made) : callback(unconnected(made[0]), null))
}

function connectorFor(
  { ca, connectSeconds = 10 }: NetworkOptions,
  lookup: LookupFunction,
  certificate: ClientCertificate | undefined,
) {
  return buildConnector({
    timeout: connectSeconds * 1000,
    allowH2: false,
    lookup,
    // Whatever the environment says.
    rejectUnauthorized: true,
    // Every connection proves itself anew: nothing of a resumed one is judged again.
    maxCachedSessions: 0,
    ...(certificate && { cert: certificate.chain.reveal(), key: certificate.key.reveal() }),
    ...(ca === undefined ? {} : { ca: [...getCACertificates('default'), ...ca] }),
  })
}

/** Not a byte of a request is written before this has seen the connection. */
function pinned(url: URL, pins: Pins, callback: buildConnector.Callback): buildConnector.Callback {
  const wanted = pins.of(url)
  if (wanted === undefined) return callback
  return (...made) => {
    const [error, socket] = made
    if (error !== null) return callback(error, null)
    try {
      judgePin(socket, url.host, wanted)
    } catch (refused) {
      socket.destroy()
      return callback(refused as Error, null)
    }
    return callback(null, socket)
  }
}

/** One closed address among several public ones refuses the name: it may not choose at random. */
function guardedLookup(lookup: typeof dns.lookup): LookupFunction {
  return (hostname, options, done) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error, [])
      const kind = addresses.map(({ address }) => closedAddress(address)).find(Boolean)
      if (kind) return done(refusal(hostname, `leads to a ${kind} address`), [])
      const [first] = addresses
      if (!first) return done(new Error('the name has no address'), [])
      return options.all ? done(null, addresses) : done(null, first.address, first.family)
    })
  }
}
