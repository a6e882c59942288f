import { createServer, type Server } from 'node:http'
import { type AddressInfo, createServer as createSquatter } from 'node:net'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { canary } from '../../src/testing/canary.ts'
import { type ListeningStandIn, standIn } from '../../src/testing/stand-in.ts'
import { noChromium, openChromium } from '../chromium.ts'
import { firstLine, type RealHome, realHome, until } from '../real.ts'

const key = `sk-proj-${canary('openai')}`

let provider: ListeningStandIn
let home: RealHome
let browser: Browser
let ours: URL

beforeAll(async () => {
  if (noChromium) return
  const judge = ({ headers }: { headers: Readonly<Record<string, unknown>> }) =>
    headers['authorization'] === `Bearer ${key}` ? { body: { data: [] } } : { status: 401, body: {} }
  provider = await standIn({ 'GET /v1/models': judge }).listen()
  home = await realHome({ origins: { openai: provider.origin } })
  ours = new URL('/', await firstLine(home.start(['serve', '--port', '0'])))
  // Names of other sites that lead to this computer, as a name server of theirs could make them.
  browser = await openChromium(
    '--host-resolver-rules=MAP evil.test 127.0.0.1, MAP rebound.test 127.0.0.1',
    // What a new browser does of itself is not to be relied on: most do not.
    '--disable-features=LocalNetworkAccessChecks',
  )
}, 120_000)

afterAll(async () => {
  await browser?.close()
  await home?.close()
  await provider?.close()
})

beforeEach(({ skip }) => skip(noChromium !== undefined, noChromium))

async function newLink(): Promise<string> {
  return (await home.run(['open', '--no-browser'])).stdout.trim()
}

async function signIn(context: BrowserContext): Promise<Page> {
  const page = await context.newPage()
  page.setDefaultTimeout(10_000)
  await page.goto(await newLink())
  await page.getByRole('heading', { name: 'Accounts' }).waitFor()
  return page
}

describe('the page behind the link that the command prints', () => {
  it('takes a key, shows the account, and gives a receipt when it is revoked', async () => {
    const context = await browser.newContext()
    const page = await signIn(context)
    expect(page.url()).toBe(ours.href)
    expect(await page.evaluate('history.length')).toBe(2)
    expect(await context.cookies()).toMatchObject([
      {
        name: '__Host-valetkey',
        httpOnly: true,
        secure: true,
        sameSite: 'Strict',
        path: '/',
        domain: '127.0.0.1',
      },
    ])

    await page.getByRole('button', { name: 'Connect OpenAI' }).click()
    await page.getByLabel(/^API key/).fill(`sk-proj-${canary('wrong')}`)
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.getByRole('alert').waitFor()
    await page.getByLabel(/^API key/).fill(key)
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.getByText('openai is connected').first().waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    expect(await home.run(['forward', 'openai', 'GET', '/v1/models'])).toMatchObject({ code: 0 })

    await page.getByRole('button', { name: 'Revoke openai' }).click()
    await page.getByRole('button', { name: 'Revoke', exact: true }).click()
    await page.getByText('still alive').waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    await page.getByText('Nothing is connected yet').waitFor()
    expect(await home.run(['forward', 'openai', 'GET', '/v1/models'])).toMatchObject({ code: 3 })
    expect(await page.content()).not.toContain(key)
    await context.close()
  })

  it('[security 18.6] is not looked for where another could listen beside it', async ({ skip }) => {
    const squatter = createSquatter().on('error', () => {})
    squatter.listen(Number(ours.port), '::1')
    await until(() => squatter.listening, 1).catch(() => skip('not run: this computer has no ::1'))
    let visits = 0
    squatter.on('connection', (socket) => {
      visits += 1
      socket.destroy()
    })
    const context = await browser.newContext()
    const page = await signIn(context)
    await page.reload()
    await page.getByRole('heading', { name: 'Accounts' }).waitFor()
    expect(visits).toBe(0)
    await context.close()
    squatter.close()
  })
})

/** Everything that a page can try with another address: to read it, to change something there, and to show it. */
const ATTACK = `async ({ target, harmless }) => {
  const seen = []
  const tried = []
  const attempt = (path, init) => {
    const answer = fetch(target + path, { credentials: 'include', ...init })
    tried.push(answer.then((one) => one.text()).then((text) => seen.push(text), () => {}))
  }
  const load = (tag, props) =>
    tried.push(new Promise((resolve) => {
      const node = Object.assign(document.createElement(tag), props)
      node.onload = node.onerror = resolve
      document.body.append(node)
      setTimeout(resolve, 1500)
    }))

  for (const path of ['api/accounts', 'api/vault', 'api/audit', 'forward/openai/kept/v1/models']) {
    attempt(path)
    attempt(path, { mode: 'no-cors' })
  }
  load('script', { src: target + 'api/accounts' })
  load('img', { src: target + 'api/accounts' })
  load('iframe', { src: target, name: 'framed' })

  const marked = { 'content-type': 'application/json', 'valetkey-request': '1' }
  const body = '{"owner":"person:owner"}'
  for (const path of harmless ? [] : ['api/vault/lock', 'api/vault/erase-owner', 'api/session/link']) {
    attempt(path, { method: 'POST', body })
    attempt(path, { method: 'POST', body, mode: 'no-cors' })
    attempt(path, { method: 'POST', body, headers: marked })
  }
  for (const path of harmless ? [] : ['api/accounts/openai%2Fkept', 'api/session'])
    attempt(path, { method: 'DELETE', headers: marked })
  if (!harmless) {
    const form = { action: target + 'api/vault/lock', method: 'post', enctype: 'text/plain', target: 'framed' }
    const node = Object.assign(document.createElement('form'), form)
    document.body.append(node)
    node.submit()
  }

  await Promise.all(tried)
  const framed = () => window.frames.framed.document.body.innerHTML
  try { return { seen, framed: framed() } } catch { return { seen, framed: '' } }
}`

interface Prey {
  readonly seen: readonly string[]
  readonly framed: string
}

describe('a page of another site, in the browser that holds the owner’s cookie', () => {
  let attacker: Server
  let context: BrowserContext

  beforeAll(async () => {
    if (noChromium) return
    expect(await home.run(['connect', 'openai/kept', '--key-stdin'], key)).toMatchObject({ code: 0 })
    attacker = createServer((_, answer) => {
      answer.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>evil</title><body>')
    })
    attacker.listen(0, '127.0.0.1')
    await until(() => attacker.listening)
    context = await browser.newContext()
    await signIn(context)
  })

  afterAll(async () => {
    await context?.close()
    attacker?.close()
  })

  /** What the page got to see, and with what our own door answered it. */
  async function attack(page: Page, target: string) {
    const statuses: number[] = []
    page.on('response', (answer) => {
      if (new URL(answer.url()).port === ours.port) statuses.push(answer.status())
    })
    const prey = (await page.evaluate(`(${ATTACK})(${JSON.stringify({ target })})`)) as Prey
    return { ...prey, statuses: [...new Set(statuses)] }
  }

  async function unharmed() {
    const vault = await (await home.ask('/api/vault')).json()
    const accounts = (await (await home.ask('/api/accounts')).json()) as { bucket: string; status: string }[]
    const kept = accounts.find(({ bucket }) => bucket === 'kept')
    const page = await context.newPage()
    await page.goto(ours.href)
    await page.getByRole('heading', { name: 'Accounts' }).waitFor()
    await page.close()
    return { locked: (vault as { locked: boolean }).locked, kept: kept?.status }
  }

  it.each([
    ['port', '127.0.0.1'],
    ['name', 'evil.test'],
    ['family of addresses', 'localhost'],
  ])('[security 18.4] reads nothing and changes nothing from another %s', async (_, host) => {
    const page = await context.newPage()
    await page.goto(`http://${host}:${(attacker.address() as AddressInfo).port}/`)
    const { seen, framed, statuses } = await attack(page, ours.href)
    expect(seen.filter((text) => text !== '')).toEqual([])
    expect(framed).not.toContain('Valetkey')
    expect(statuses).toEqual([403])
    expect(await unharmed()).toEqual({ locked: false, kept: 'connected' })
  })

  it('[security 18.4] reads nothing and changes nothing when its own name is led to us', async () => {
    const page = await context.newPage()
    const rebound = `http://rebound.test:${ours.port}/`
    await page.route(`${rebound}evil`, (route) =>
      route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>evil</title><body>' }),
    )
    await page.goto(`${rebound}evil`)
    const { seen, framed, statuses } = await attack(page, rebound)
    expect(seen.join('')).not.toContain('openai')
    expect(seen.filter((text) => text !== '').every((text) => text.includes('not-allowed'))).toBe(true)
    expect(framed).not.toContain('Connect')
    expect(statuses).toEqual([421])
    expect(await unharmed()).toEqual({ locked: false, kept: 'connected' })
  })

  it('would have seen it all, were it our own page', async () => {
    const page = await context.newPage()
    await page.goto(ours.href)
    const tried = JSON.stringify({ target: ours.href, harmless: true })
    const { seen } = (await page.evaluate(`(${ATTACK})(${tried})`)) as Prey
    expect(seen.join('')).toContain('"bucket":"kept"')
  })
})
