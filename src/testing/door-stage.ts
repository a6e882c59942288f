import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { ValetkeyError } from '#client'
import { openBroker } from '../broker/broker.ts'
import type { Broker } from '../model/broker.ts'
import type { Flow, FlowContext, FlowTurn } from '../model/flow.ts'
import type { Network, Outgoing, StreamingNetwork, Through } from '../model/network.ts'
import { type Catalogue, type Provider, providerSchema } from '../model/provider.ts'
import { Secret } from '../model/secret.ts'
import { openSqlite } from '../storage/sqlite.ts'
import { environmentSource } from '../vault/sources/environment.ts'
import { openVault } from '../vault/vault.ts'
import { canary, canaryBytes } from './canary.ts'

/** A request as it would have left the house, wearing its credential. */
export interface Sent {
  readonly url: string
  readonly method: string
  readonly headers: Headers
}

/** A real broker over a real vault, with one provider whose answers are known. */
export interface DoorStage {
  readonly broker: Broker
  readonly provider: string
  /** The key that the provider takes; any other it refuses. */
  readonly key: string
  /** A second one, for a rotation. */
  readonly nextKey: string
  /** Sends back what it is sent, while it is still being sent. */
  readonly echo: string
  /** Answers with a status and a body that look like a refusal of ours. */
  readonly teapot: string
  readonly sent: readonly Sent[]
  close(): Promise<void>
}

const ORIGIN = 'https://api.practice.test'
const PROVIDER = providerSchema.parse({
  id: 'practice',
  name: 'Practice',
  category: 'other',
  hosts: ['api.practice.test'],
  registration: 'none',
  signIns: [
    {
      flow: 'api-key',
      fields: [{ name: 'key', label: 'Key' }],
      present: [{ header: 'x-practice-key', field: 'key' }],
    },
  ],
  revoke: { how: 'console' },
})

export async function openDoorStage(): Promise<DoorStage> {
  const [key, nextKey] = [canary('door'), canary('next')]
  const sent: Sent[] = []
  const clock = { now: () => new Date(), monotonic: () => performance.now(), newId: () => randomUUID() }
  const storage = await openSqlite(':memory:')
  const env = { VALETKEY_KEY: canaryBytes('mk', 32).toString('hex') }
  const sources = () => environmentSource(env)
  const keeper = await openVault({ storage, sources, preferred: 'environment', ...clock })
  await keeper.unlock()
  const broker = await openBroker({
    storage,
    keeper,
    sources,
    catalogue: catalogueOf(PROVIDER),
    flows: [flowTaking([key, nextKey])],
    network: recording(sent),
    anchor: inMemory(),
    home: '/nowhere',
    callbacks: { open: () => Promise.reject(new Error('nobody comes back here')) },
    clients: {},
    socket: '/nowhere/valetkey.sock',
    version: '0.0.0',
    ...clock,
  })
  return {
    broker,
    provider: PROVIDER.id,
    key,
    nextKey,
    echo: '/echo',
    teapot: '/teapot',
    sent,
    close: () => broker.close(),
  }
}

function catalogueOf(provider: Provider): Catalogue {
  const base = new URL(ORIGIN)
  return {
    list: () => [provider],
    find: (id) => (id === provider.id ? provider : undefined),
    recognise: (key) => (key.startsWith('CANARY') ? provider : undefined),
    isBuiltIn: () => true,
    freeName: () => 'free',
    keep: () => Promise.reject(new Error('nothing is kept here')),
    authority: () => undefined,
    destination: () => ({
      base,
      own: [ORIGIN],
      origins: [ORIGIN],
      place: (link) => new URL(link, base),
    }),
  }
}

/** Asks for one key, and says why when it is not one that is taken. */
function flowTaking(keys: readonly string[]): Flow {
  const ask = (because?: string): FlowTurn => ({
    step: {
      ask: 'fill',
      fields: [{ name: 'key', label: 'Key', kind: 'secret' }],
      ...(because !== undefined && { because }),
      at: new URL(`${ORIGIN}/keys`),
    },
    memory: new Secret('{}'),
  })
  const judge = (key: Secret): FlowTurn => {
    if (!keys.includes(key.reveal())) return ask('the provider does not take this key')
    const profile = { subject: 'ada', displayName: 'Ada', vars: {} }
    const never = { standing: true, expiresAt: null, scopes: [], tokenType: 'key' }
    return { done: { credential: { worn: { key }, kept: {}, ...never }, profile } }
  }
  return {
    id: 'api-key',
    nature: 'pure',
    comesBack: false,
    begin: async ({ known }: FlowContext) => (known['key'] === undefined ? ask() : judge(known['key'])),
    async next(_context, _memory, answer) {
      if (answer === undefined) return ask()
      const key = 'fields' in answer ? answer.fields['key'] : undefined
      if (key === undefined) throw new ValetkeyError('invalid-request', 'the key is missing')
      return judge(key)
    },
    revoke: async () => [{ what: 'key', died: false, how: 'only a person can end it, at the provider' }],
  }
}

function recording(sent: Sent[]): StreamingNetwork {
  const { fetch } = answering(sent)
  return {
    fetch,
    async stream(url, { method, headers, body }, begun) {
      const web = body instanceof Readable ? (Readable.toWeb(body) as ReadableStream<Uint8Array>) : body
      const answer = await fetch(url, { method, headers, body: web ?? null })
      const taking = begun({ status: answer.status, headers: [...answer.headers] })
      const { into, through } =
        taking instanceof Promise ? await taking : { into: taking, through: undefined }
      Readable.from(passed(answer.body ?? [], through)).pipe(into)
      await finished(into)
    },
    upgrade: async () => undefined,
    close: async () => {},
  }
}

async function* passed(body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, through?: Through) {
  for await (const piece of body) {
    const ready = through?.feed(Buffer.from(piece)) ?? piece
    if (ready.byteLength > 0) yield ready
  }
  const rest = through?.end()
  if (rest !== undefined && rest.byteLength > 0) yield rest
}

function answering(sent: Sent[]): Pick<Network, 'fetch'> {
  return {
    async fetch(url, { method = 'GET', headers = {}, body = null }: Outgoing = {}) {
      sent.push({ url: url.href, method, headers: new Headers(headers as Record<string, string>) })
      const json = { 'content-type': 'application/json', 'x-practice': 'yes', 'set-cookie': 'a=b' }
      if (url.pathname === '/echo') return new Response(body as ReadableStream<Uint8Array> | null)
      if (url.pathname !== '/teapot') return Response.json({ path: url.pathname }, { headers: json })
      const lookalike = { code: 'locked', detail: 'not one of ours' }
      return Response.json(lookalike, {
        status: 423,
        headers: { 'content-type': 'application/problem+json' },
      })
    },
  }
}

function inMemory() {
  let kept: Uint8Array | undefined
  return {
    read: async () => kept,
    write: async (bytes: Uint8Array) => {
      kept = bytes
    },
  }
}
