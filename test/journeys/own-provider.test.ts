import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { pinOf } from '../../src/network/pins.ts'
import { canary } from '../../src/testing/canary.ts'
import { authority } from '../../src/testing/certificates.ts'
import { type HostileServer, hostileServer } from '../../src/testing/hostile-server.ts'
import { freePort } from '../free-port.ts'
import { configure, kill, type RealHome, realHome, until } from '../real.ts'

async function describeProvider(home: RealHome, file: string, provider: object): Promise<void> {
  const folder = join(home.home, 'config', 'providers')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeFile(join(folder, file), JSON.stringify(provider), { mode: 0o600 })
}

describe('a provider described in the words of an app', () => {
  let there: HostileServer
  let home: RealHome
  let redirectUri: string

  beforeAll(async () => {
    there = await hostileServer()
    there.play({ callback: (answer) => answer.delete('iss') })
    const { origin, host } = new URL(there.issuer)
    home = await realHome({ allow: [host] })
    redirectUri = `http://127.0.0.1:${await freePort()}/callback`
    await describeProvider(home, 'acme.json', {
      name: 'Acme Cloud',
      authUrl: `${origin}/authorize`,
      tokenUrl: `${origin}/token`,
      clientId: 'acme-client',
      redirectUri,
      scopes: ['api.read'],
    })
  }, 30_000)

  afterAll(async () => {
    await home?.close()
    await there?.close()
  })

  it('is in the list, and needs nothing more', async () => {
    const { stdout } = await home.run(['providers', 'acme-cloud', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({
      id: 'acme-cloud',
      name: 'Acme Cloud',
      needs: 'nothing',
      from: 'yours',
      hosts: [new URL(there.issuer).host],
    })
  }, 30_000)

  it('is connected with the client of the file, and comes back where that is registered', async () => {
    const begun = await home.ask('/api/providers/acme-cloud/connect', { method: 'POST', body: '{}' })
    const { id, step } = (await begun.json()) as { id: string; step: { url: string } }
    const link = new URL(step.url)
    expect(Object.fromEntries(link.searchParams)).toMatchObject({
      client_id: 'acme-client',
      redirect_uri: redirectUri,
      scope: 'api.read',
      code_challenge_method: 'S256',
    })
    const page = await fetch(await there.consent(link))
    expect(await page.text()).toContain('Connected to Acme Cloud')
    expect(await (await home.ask(`/api/flows/${id}`)).json()).toMatchObject({ state: 'done' })
    expect(there.forms[0]?.get('client_id')).toBe('acme-client')
    const lent = await home.run(['lend', 'acme-cloud'])
    expect(there.issued).toContain(lent.stdout.trim())
  }, 30_000)

  it('is not read with a secret in its file, and says what to do instead', async () => {
    const other = await realHome()
    const clientSecret = canary('client')
    await describeProvider(other, 'acme.json', { id: 'acme', clientId: 'x', clientSecret })
    const refused = await other.run(['providers'])
    expect(refused.stderr).toContain('acme.json: clientSecret is a secret, and no secret lies in a file')
    expect(refused.stderr).toContain('hint: valetkey register acme')
    expect(refused.stderr + refused.stdout).not.toContain(clientSecret)
    // It lies there because this test put it there.
    await rm(join(other.home, 'config', 'providers', 'acme.json'))
    await other.close()
  }, 30_000)
})

describe('a pin in the configuration', () => {
  const ends: Array<() => unknown> = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  it('stops a key before the first byte where the certificate is another one', async () => {
    const trusted = authority()
    const certificate = trusted.issue({ hosts: ['127.0.0.1'] })
    let requests = 0
    const server = createHttps(certificate, (_, response) => {
      requests += 1
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":[]}')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    ends.push(() => server.close())
    const origins = { openai: `https://127.0.0.1:${(server.address() as AddressInfo).port}` }
    const pinned = (pin: string) => ({ origins, pins: { '127.0.0.1': [pin] } })
    const home = await realHome(pinned(`sha256/${'A'.repeat(43)}=`))
    ends.push(home.close)
    const trust = { NODE_EXTRA_CA_CERTS: join(home.home, 'authority.pem') }
    await writeFile(trust.NODE_EXTRA_CA_CERTS, trusted.cert)
    const connect = () => home.run(['connect', 'openai', '--key-stdin'], `sk-${canary('pinned')}\n`, trust)

    const refused = await connect()
    expect([refused.code, refused.stderr, requests]).toEqual([
      1,
      expect.stringMatching(/^! certificate-pin: the provider showed another certificate than/),
      0,
    ])
    await kill(await until(home.holder))
    await configure(home.home, pinned(pinOf(new X509Certificate(certificate.cert))))
    expect(await connect()).toMatchObject({ code: 0, stdout: expect.stringContaining('connected openai') })
    expect(requests).toBe(1)
  }, 60_000)
})
