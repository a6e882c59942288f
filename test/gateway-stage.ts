import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { canary } from '../src/testing/canary.ts'
import { wherePaths } from '../src/where.ts'
import { type RealHome, realHome } from './real.ts'
import { type Upstream, upstream } from './upstream.ts'

/** A broker in a process of its own with an account at a provider on loopback, and both ways to its gateway. */
export interface GatewayStage {
  readonly home: RealHome
  readonly there: Upstream
  readonly socket: string
  /** Where the gateway is on TCP. */
  readonly tcp: string
  /** Opens the account to whoever shows it. */
  readonly key: string
  /** What is sealed, and to be seen by nobody but the provider. */
  readonly secret: string
  readonly pid: number
  /** A key for these accounts. */
  cut(grants: readonly object[]): Promise<string>
  close(): Promise<void>
}

/** The credential of each, in the form that its provider gives it. */
const KEYS: Readonly<Record<string, () => string>> = {
  openai: () => `sk-${canary('openai')}`,
  anthropic: () => `sk-ant-api03-${canary('anthropic').padEnd(93, 'A')}AA`,
  'azure-openai': () => canary('azure'),
  github: () => `ghp_${canary('github').replaceAll(/\W/g, '').padEnd(36, 'x')}`,
}

export async function gatewayStage(plays: Parameters<typeof upstream>[0] = {}, ids = ['openai']) {
  const there = await upstream(plays)
  const home = await realHome({ origins: Object.fromEntries(ids.map((id) => [id, there.origin])) })
  const secrets = new Map(ids.map((id) => [id, KEYS[id]?.() ?? '']))
  for (const [id, secret] of secrets) {
    const vars = id === 'azure-openai' ? ['--var', 'resource=mine'] : []
    const { code, stderr } = await home.run(
      ['connect', id, ...vars, '--insist', '--key-stdin'],
      `${secret}\n`,
    )
    if (code !== 0) throw new Error(`${id} was not connected: ${stderr}`)
  }
  const cut = async (grants: readonly object[]) => {
    const made = await home.ask('/api/keys', {
      method: 'POST',
      body: JSON.stringify({ kind: 'key', grants }),
    })
    const { secret, ...why } = (await made.json()) as { secret?: string }
    if (secret === undefined) throw new Error(JSON.stringify(why))
    return secret
  }
  const { url: tcp } = (await (await home.ask('/api/gateway')).json()) as { url: string }
  const pid = await home.holder()
  if (pid === undefined) throw new Error('nobody holds the vault')
  return {
    home,
    there,
    socket: wherePaths({ env: home.env }).socket,
    tcp,
    key: await cut(ids.map((address) => ({ address, may: ['forward'] }))),
    secret: secrets.get(ids[0] ?? '') ?? '',
    pid,
    cut,
    async close() {
      await home.close()
      await there.close()
    },
  } satisfies GatewayStage
}

/** One request by Node itself, with nothing added to it and nothing taken off its answer. */
export async function asked(
  options: RequestOptions,
  body?: string | Buffer,
): Promise<IncomingMessage & { text: string }> {
  const request = httpRequest(options)
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  request.on('response', resolve).on('error', reject).end(body)
  const response = await promise
  let text = ''
  for await (const piece of response.setEncoding('latin1')) text += piece
  return Object.assign(response, { text })
}
