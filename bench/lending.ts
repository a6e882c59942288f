import { framedClient } from './framed.ts'
import { httpClient, request } from './http-client.ts'
import { rateOf, type Times, timesOf } from './measure.ts'
import type { Stage } from './stage.ts'

export interface Asking {
  readonly name: string
  readonly ask: () => Promise<unknown>
  /** As many at once as one connection takes, over one connection where it can carry them. */
  readonly lanes: readonly (() => Promise<unknown>)[]
  close(): void
}

export const IN_FLIGHT = 16

const PAYLOAD = { provider: 'practice' }
const JSON_HEADERS = { 'content-type': 'application/json', 'valetkey-request': '1' }

async function framed(name: string, path: string, shake: boolean): Promise<Asking> {
  const client = await framedClient(path)
  if (shake) await client.handshake()
  const ask = async () => {
    const { ok, code } = await client.ask('get_token', PAYLOAD)
    if (!ok) throw new Error(`it was refused: ${code}`)
  }
  return { name, ask, lanes: Array.from({ length: IN_FLIGHT }, () => ask), close: client.close }
}

/** HTTP answers one request of a connection at a time, so each lane has a connection of its own. */
function overHttp(name: string, to: { path: string } | { port: number }, bytes: Buffer): Asking {
  const clients = Array.from({ length: IN_FLIGHT }, () => httpClient(to))
  const lanes = clients.map((client) => async () => {
    const status = await client.ask(bytes)
    if (status !== 200) throw new Error(`${name} answered ${status}`)
  })
  const [ask = async () => {}] = lanes
  return {
    name,
    ask,
    lanes,
    close: () =>
      clients.forEach((client) => {
        client.close()
      }),
  }
}

export async function lendings({ socket, echo }: Stage): Promise<readonly Asking[]> {
  const body = JSON.stringify({ address: 'practice' })
  return [
    await framed('bare framed echo', echo, false),
    await framed('warm lend, framed', socket, true),
    overHttp('warm lend, HTTP', { path: socket }, request('POST', '/api/lend', JSON_HEADERS, body)),
  ]
}

export function forwardings({ socket, proxy, upstream }: Stage, path: string): readonly Asking[] {
  return [
    overHttp('direct', { port: upstream }, request('GET', path, {})),
    overHttp('bare undici.stream proxy', { path: proxy }, request('GET', path, {})),
    overHttp(
      'gateway',
      { path: socket },
      request('GET', `/forward/openai/default${path}`, { 'valetkey-request': '1' }),
    ),
  ]
}

export interface Measured {
  readonly name: string
  readonly times: Times
  readonly rate: number
}

/**
 * All of them in each round, each time in another order, so that whatever else the machine does hits all of
 * them. Before one is measured its connections are there: some servers close what was idle sooner than others.
 */
export async function inRounds(
  rounds: number,
  count: number,
  all: readonly Asking[],
): Promise<readonly (readonly Measured[])[]> {
  for (const { lanes } of all) await rateOf(2 * count, lanes)
  const measured: Measured[][] = []
  for (let round = 0; round < rounds; round += 1) {
    const now: Measured[] = []
    for (const { name, ask, lanes } of turned(all, round)) {
      await Promise.all(lanes.map((lane) => lane()))
      now.push({ name, times: await timesOf(count, ask), rate: await rateOf(4 * count, lanes) })
    }
    measured.push(now)
  }
  return measured
}

function turned<T>(all: readonly T[], by: number): readonly T[] {
  const at = by % all.length
  return [...all.slice(at), ...all.slice(0, at)]
}
