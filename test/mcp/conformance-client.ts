import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { type FlowSession, remoteDesk, ValetkeyError } from '#client'
import { httpDoor } from '../../src/doors/http/door.ts'
import { mcpAuth } from '../../src/doors/mcp/client.ts'
import { THE_PERSON } from '../../src/model/caller.ts'
import { openHouse } from '../../src/open.ts'
import { leave } from '../leave.ts'
import { documentLimits } from './conformance-document.ts'

// What a conformance scenario starts: a program that uses one MCP server through Valetkey. The scenario hands it
// the server's address, and what the person would have been given beforehand.
const link = process.argv.at(-1) ?? ''
const given: Readonly<Record<string, string | undefined>> = JSON.parse(
  process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}',
)
const { client_id: clientId, client_secret: clientSecret, private_key_pem: privateKey } = given
const scenario = process.env['MCP_CONFORMANCE_SCENARIO'] ?? ''
const nobodySignsIn = scenario.includes('client-credentials')
/** Where the person is known to begin with, and what they were given there. */
const { idp_issuer: issuer, idp_client_id: idpClient, idp_id_token: idToken } = given
const clientDocument = process.env['VALETKEY_CONFORMANCE_DOCUMENT']

/** So often somebody signs in again because more was wanted; then it is given up. */
const SIGN_INS = 2

const home = await mkdtemp(join(tmpdir(), 'valetkey-'))
try {
  await use(await connectedHouse([new URL(link).host]))
} finally {
  await leave(home)
}

type Opened = Awaited<ReturnType<typeof open>>

/** A whole Valetkey in this process, with what its operator lets it reach. */
async function open(allow: readonly string[]) {
  await mkdir(join(home, 'config'), { recursive: true, mode: 0o700 })
  const config = { allow, ...(clientDocument !== undefined && { clientDocument }) }
  await writeFile(join(home, 'config', 'config.json'), JSON.stringify(config), { mode: 0o600 })
  if (issuer !== undefined) await describeIdentityProvider(issuer)
  const { broker } = await openHouse({ home, env: {} }, { limits: documentLimits() })
  const caller = { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'test', uid: process.getuid?.() ?? 0 } }
  const door = httpDoor({
    desk: broker.as,
    keeper: broker.keeper,
    identify: async () => caller,
    version: '0.0.0',
  })
  const fetch = (url: string | URL, init?: RequestInit) => door.fetch(new Request(url, init), {})
  return { broker, ...remoteDesk({ base: 'http://valetkey', fetch }) }
}

/** As its operator describes it. */
async function describeIdentityProvider(issuer: string): Promise<void> {
  const folder = join(home, 'config', 'providers')
  const file = {
    id: 'idp',
    name: 'Identity provider',
    category: 'identity',
    hosts: [new URL(issuer).host],
    oauth: { issuer, clientId: idpClient },
    registration: 'none',
    signIns: [
      {
        flow: 'authorization-code',
        scopes: ['openid'],
        present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
      },
    ],
    revoke: { how: 'console' },
  }
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeFile(join(folder, 'idp.json'), JSON.stringify(file), { mode: 0o600 })
}

/** The operator opens what the refusal names, as its hint says; the person signs in. */
async function connectedHouse(allow: readonly string[]): Promise<Opened & { readonly address: string }> {
  const house = await open(allow)
  try {
    return { ...house, address: await connect(house) }
  } catch (error) {
    await house.broker.close()
    const closed =
      error instanceof ValetkeyError && error.code === 'host-not-allowed' ? error.hint : undefined
    const host = /add "([^"]+)" to "allow"/.exec(closed ?? '')?.[1]
    if (host === undefined || allow.includes(host)) throw error
    return connectedHouse([...allow, host])
  }
}

async function connect({ desk }: Opened): Promise<string> {
  if (idToken !== undefined) await signedInBefore(desk, idToken)
  const vouchedFor = { flow: 'id-jag', fields: { from: 'idp' } }
  const asked = {
    provider: link,
    ...(nobodySignsIn && asAProgram()),
    ...(idToken !== undefined && vouchedFor),
  }
  const session = await desk.connect(asked).catch(async (error: unknown) => {
    if (
      !(error instanceof ValetkeyError && error.code === 'provider-not-configured') ||
      clientId === undefined
    )
      throw error
    const yours = (await desk.providers()).filter(({ from, id }) => from === 'yours' && id !== 'idp')
    const provider = yours[0]?.id ?? ''
    await desk.register({ provider, clientId, ...(clientSecret && { clientSecret }), insist: true })
    return desk.connect(asked)
  })
  const { account } = await signedIn(desk, session)
  if (account === null) throw new Error('nothing was connected')
  return account.providerId
}

/** The person signed in to their identity provider elsewhere, and brings along what came of that. */
async function signedInBefore(desk: Opened['desk'], id_token: string): Promise<void> {
  if ((await desk.accounts()).length > 0) return
  const issued = JSON.stringify({ access_token: 'not used here', expires_in: 3600, id_token })
  await desk.connect({ provider: 'idp', flow: 'authorization-code', fields: { issued }, insist: true })
}

/** What its operator fills in for a program that comes in with nobody behind it. */
function asAProgram() {
  const fields = Object.entries({ clientId, clientSecret, privateKey })
  const known = fields.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]))
  return { flow: 'client-credentials', fields: Object.fromEntries(known) }
}

/** Plays the person: their browser goes where it is sent, and back to us. */
async function signedIn(desk: Opened['desk'], begun: FlowSession): Promise<FlowSession> {
  await visit(begun)
  let session = await desk.flow(begun.id)
  for (; session.state === 'asking'; session = await desk.flow(begun.id)) await pause(20)
  const { state, failure } = session
  if (state === 'done') return session
  throw new ValetkeyError(
    failure?.code === 'host-not-allowed' ? 'host-not-allowed' : 'exchange-failed',
    failure?.detail ?? state,
    { hint: failure?.hint ?? '' },
  )
}

async function visit({ step }: FlowSession): Promise<void> {
  if (step?.ask !== 'visit') return
  const answer = await fetch(step.url, { redirect: 'manual' })
  await fetch(answer.headers.get('location') ?? '')
}

/** Does what every scenario asks for: tools are listed, and one is called. */
async function use({ broker, desk, fetchAs, address }: Opened & { readonly address: string }): Promise<void> {
  try {
    let left = SIGN_INS
    const show = async (session: FlowSession) => {
      left -= 1
      await signedIn(desk, session)
    }
    for (;;) {
      try {
        return await once(address, fetchAs(address), mcpAuth(desk, address, { show }))
      } catch (error) {
        if (left <= 0 || !(error instanceof ValetkeyError && error.reaction === 'reconnect')) throw error
      }
    }
  } finally {
    await broker.close()
  }
}

async function once(
  address: string,
  fetch: typeof globalThis.fetch,
  authProvider: ReturnType<typeof mcpAuth>,
): Promise<void> {
  const client = new Client({ name: `valetkey, by ${address}`, version: '1.0.0' })
  await client.connect(new StreamableHTTPClientTransport(new URL(link), { fetch, authProvider }))
  const { tools } = await client.listTools()
  for (const { name } of tools) await client.callTool({ name, arguments: {} })
  await client.close()
}
