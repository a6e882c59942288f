import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { canary } from '../../src/testing/canary.ts'
import { type ListeningStandIn, standIn } from '../../src/testing/stand-in.ts'
import { noChromium, openChromium } from '../chromium.ts'
import { report } from '../figures.ts'
import { firstLine, type RealHome, realHome, until } from '../real.ts'

const key = `sk-proj-${canary('openai')}`
/** A page of the provider's that would act as whoever looks at it. */
const HOSTILE = '<!doctype html><title>upstream</title><script>document.title = "ran"</script>'
const SCRIPT = 'globalThis.ran = true; if (globalThis.document === undefined) postMessage("ran")'

let provider: ListeningStandIn
let home: RealHome
let browser: Browser
let context: BrowserContext
let attacker: Server
let ours: URL
let before: unknown
let tried = 0
const succeeded: string[] = []

beforeAll(async () => {
  if (noChromium) return
  provider = await standIn({
    'GET /v1/models': { body: { data: [] } },
    'GET /run.js': { headers: { 'content-type': 'text/javascript' }, body: SCRIPT },
    '*': { headers: { 'content-type': 'text/html' }, body: HOSTILE },
  }).listen()
  home = await realHome({ origins: { openai: provider.origin } })
  ours = new URL('/', await firstLine(home.start(['serve', '--port', '0'])))
  expect(await home.run(['connect', 'openai/kept', '--key-stdin'], key)).toMatchObject({ code: 0 })
  browser = await openChromium(
    // Names of other sites that lead to this computer, as a name server of theirs could make them.
    '--host-resolver-rules=MAP evil.test 127.0.0.1, MAP rebound.test 127.0.0.1',
    // What a new browser does of itself is not to be relied on: most do not.
    '--disable-features=LocalNetworkAccessChecks',
  )
  attacker = createServer((_, answer) => {
    answer.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>evil</title><body>')
  })
  attacker.listen(0, '127.0.0.1')
  await until(() => attacker.listening)
  context = await browser.newContext()
  await (await context.newPage()).goto((await home.run(['open', '--no-browser'])).stdout.trim())
  before = await standing()
}, 120_000)

afterAll(async () => {
  if (noChromium) return
  report(
    'browser-borne attacks that read or changed something',
    succeeded.length,
    tried,
    'chromium, loopback',
  )
  await browser?.close()
  await home?.close()
  await provider?.close()
  attacker?.close()
})

beforeEach(({ skip }) => skip(noChromium !== undefined, noChromium))

/** Each is one thing that a page can try with another address: to read there, to change something, to show it. */
const ATTACKS = `(target) => {
  const reads = ['api/accounts', 'api/vault', 'api/audit', 'api/keys', 'api/asks', 'forward/openai/kept/v1/models']
  const marked = { 'content-type': 'application/json', 'valetkey-request': '1' }
  const key = JSON.stringify({ kind: 'key', grants: [{ address: 'openai/kept', may: ['forward'] }] })
  const bind = JSON.stringify({ caller: 'app:evil', address: 'openai/kept', may: ['forward'] })
  const writes = [['api/vault/lock', '{}'], ['api/keys', key], ['api/bindings', bind], ['api/session/link', '{}'],
    ['api/revoke-all', '{}'], ['mcp', '{"jsonrpc":"2.0","id":1,"method":"tools/list"}']]
  const ask = (path, init) => async () => {
    const answer = await fetch(target + path, { credentials: 'include', ...init })
    return answer.type === 'opaque' ? '' : answer.ok ? 'read: ' + (await answer.text()) : ''
  }
  const load = (tag, props) => () => new Promise((resolve) => {
    const node = Object.assign(document.createElement(tag), props)
    node.onload = () => resolve(tag === 'iframe' ? shown(node) : tag === 'img' ? 'loaded' : '')
    node.onerror = () => resolve('')
    document.body.append(node)
    setTimeout(() => resolve(''), 1500)
  })
  const shown = (frame) => { try { return frame.contentDocument.body.innerHTML.includes('Valetkey') ? 'shown' : '' } catch { return '' } }
  const post = (path, enctype) => () => new Promise((resolve) => {
    const frame = Object.assign(document.createElement('iframe'), { name: 'f' + Math.random() })
    const form = Object.assign(document.createElement('form'), { action: target + path, method: 'post', enctype, target: frame.name })
    form.append(Object.assign(document.createElement('input'), { name: '{"a":"', value: '"}' }))
    document.body.append(frame, form)
    frame.onload = () => resolve('')
    form.submit()
    setTimeout(() => resolve(''), 800)
  })
  const socket = () => new Promise((resolve) => {
    const ws = new WebSocket(target.replace('http', 'ws') + 'forward/openai/kept/v1/models')
    ws.onopen = () => resolve('opened')
    ws.onerror = () => resolve('')
  })
  const events = () => new Promise((resolve) => {
    const source = new EventSource(target + 'api/events', { withCredentials: true })
    source.onopen = () => resolve('opened')
    source.onerror = () => { source.close(); resolve('') }
  })
  return {
    ...Object.fromEntries(reads.map((path) => ['read ' + path, ask(path)])),
    ...Object.fromEntries(reads.slice(0, 2).map((path) => ['read without cors ' + path, ask(path, { mode: 'no-cors' })])),
    ...Object.fromEntries(writes.map(([path, body]) => ['simple post ' + path, ask(path, { method: 'POST', body, mode: 'no-cors' })])),
    ...Object.fromEntries(writes.map(([path, body]) => ['marked post ' + path, ask(path, { method: 'POST', body, headers: marked })])),
    'delete': ask('api/accounts/openai%2Fkept', { method: 'DELETE', headers: marked }),
    'leave': ask('api/session', { method: 'DELETE', headers: marked }),
    'form as text': post('api/vault/lock', 'text/plain'),
    'form as form': post('api/vault/lock', 'application/x-www-form-urlencoded'),
    'beacon': async () => { navigator.sendBeacon(target + 'api/vault/lock', '{}'); return '' },
    'script': load('script', { src: target + 'api/accounts' }),
    'image': load('img', { src: target + 'api/accounts' }),
    'frame': load('iframe', { src: target }),
    'socket': socket,
    'events': events,
  }
}`

/** What came of each attack that came to something. */
async function attack(page: Page, target: string): Promise<void> {
  const script = `(async () => {
    const found = {}
    for (const [name, attempt] of Object.entries((${ATTACKS})(${JSON.stringify(target)})))
      found[name] = await attempt().catch(() => '')
    return found
  })()`
  const found = (await page.evaluate(script)) as Readonly<Record<string, string>>
  tried += Object.keys(found).length
  const origin = new URL(page.url()).origin
  for (const [name, what] of Object.entries(found))
    if (what !== '') succeeded.push(`${origin}: ${name}: ${what}`)
}

/** All that an attack could have changed. */
async function standing(): Promise<unknown> {
  const read = async (path: string) => (await home.ask(path)).json()
  const { locked } = (await read('/api/vault')) as { locked: boolean }
  const accounts = (await read('/api/accounts')) as { status: string }[]
  const [bindings, keys, asks] = await Promise.all(['/api/bindings', '/api/keys', '/api/asks'].map(read))
  const page = await context.newPage()
  await page.goto(ours.href)
  await page.getByRole('heading', { name: 'Accounts' }).waitFor()
  await page.close()
  return { locked, accounts: accounts.map(({ status }) => status), bindings, keys, asks }
}

async function unharmed(): Promise<void> {
  expect(succeeded).toEqual([])
  expect(await standing()).toEqual(before)
}

describe('a page of another site, in the browser that holds the owner’s cookie', () => {
  it.each([
    ['port', '127.0.0.1'],
    ['name', 'evil.test'],
    ['family of addresses', 'localhost'],
  ])('[security 18.4] reads nothing and changes nothing from another %s', async (_, host) => {
    const page = await context.newPage()
    await page.goto(`http://${host}:${(attacker.address() as AddressInfo).port}/`)
    await attack(page, ours.href)
    await unharmed()
  })

  it('[security 18.4] reads nothing and changes nothing when its own name is led to us', async () => {
    const page = await context.newPage()
    const rebound = `http://rebound.test:${ours.port}/`
    await page.route(`${rebound}evil`, (route) =>
      route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>evil</title><body>' }),
    )
    await page.goto(`${rebound}evil`)
    await attack(page, rebound)
    await unharmed()
  })

  it('would have seen it all, were it our own page', async () => {
    const page = await context.newPage()
    await page.goto(ours.href)
    const seen = await page.evaluate(`(${ATTACKS})(${JSON.stringify(ours.href)})['read api/accounts']()`)
    expect(seen).toContain('"bucket":"kept"')
  })
})

describe('a page of the provider’s, asked for through the gateway', () => {
  const place = (name: string) => new URL(`forward/openai/kept/${name}`, ours).href

  it('[security 1.19] is not shown, framed, run or installed on our origin', async () => {
    const page = await context.newPage()
    const answer = await page.goto(place('page'))
    expect(answer?.status()).toBe(403)
    expect(await page.title()).not.toBe('ran')
    await page.goto(ours.href)
    const came = (await page.evaluate(`(async ([place, code]) => {
      const load = (tag, props) => new Promise((resolve) => {
        const node = Object.assign(document.createElement(tag), props)
        node.onload = () => resolve(tag === 'iframe' ? (node.contentDocument?.title ?? '') : 'loaded')
        node.onerror = () => resolve('')
        document.body.append(node)
        setTimeout(() => resolve(''), 1500)
      })
      return {
        frame: await load('iframe', { src: place }),
        object: await load('object', { data: place }),
        script: await load('script', { src: code }),
        style: await load('link', { rel: 'stylesheet', href: place }),
        module: await import(code).then(() => 'ran', () => ''),
        worker: await new Promise((resolve) => {
          try {
            const worker = new Worker(code)
            worker.onmessage = () => resolve('ran')
            worker.onerror = () => resolve('')
            setTimeout(() => resolve(''), 500)
          } catch { resolve('') }
        }),
        installed: await navigator.serviceWorker.register(code).then(() => 'installed', () => ''),
      }
    })(${JSON.stringify([place('page'), place('run.js')])})`)) as Readonly<Record<string, string>>
    tried += Object.keys(came).length + 1
    for (const [name, what] of Object.entries(came))
      if (what !== '') succeeded.push(`upstream: ${name}: ${what}`)
    await unharmed()
  })

  it('[security 1.19] could do nothing even where a browser said nothing of itself', async () => {
    const { headers } = await home.ask('/forward/openai/kept/page')
    expect(headers.get('content-security-policy')).toBe('sandbox')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
  })
})
