import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { Ending, OpenCallback, RedirectWish } from '../model/callbacks.ts'
import { canary } from '../testing/canary.ts'
import { loopbackCallbacks } from './callback.ts'

const opened: OpenCallback[] = []
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
})

const done: Ending = { done: true, provider: 'GitHub', app: 'Reports' }
const wish = (more: Partial<RedirectWish> = {}): RedirectWish => ({
  host: '127.0.0.1',
  port: undefined,
  path: undefined,
  state: canary('state'),
  until: new Date(Date.now() + 60_000),
  ...more,
})

async function open(asked: RedirectWish, arrived: (url: URL) => Promise<Ending> = async () => done) {
  const one = await loopbackCallbacks().open(asked, arrived)
  opened.push(one)
  return one.redirectUri
}

const at = (uri: URL, query: Record<string, string>) => new URL(`?${new URLSearchParams(query)}`, uri)

describe('the callback server', () => {
  it('[security 18.5] [security 3.2] listens on loopback, on a port and a path that nobody can guess', async () => {
    const [one, other] = [await open(wish()), await open(wish())]
    expect(one.hostname).toBe('127.0.0.1')
    expect(one.pathname).toMatch(/^\/[\w-]{22}$/)
    expect([one.port, one.pathname]).not.toEqual([other.port, other.pathname])
  })

  it('hands the address over once, and takes the code off the address bar', async () => {
    const asked = wish()
    const arrived: URL[] = []
    const uri = await open(asked, async (url) => {
      arrived.push(url)
      return done
    })
    const first = await fetch(at(uri, { code: 'c', state: asked.state }), { redirect: 'manual' })
    expect(first.status).toBe(303)
    expect(first.headers.get('location')).not.toContain('code')
    const page = await fetch(new URL(first.headers.get('location') ?? '', uri))
    expect(await page.text()).toContain('go back to Reports')
    expect((await fetch(at(uri, { code: 'c2', state: asked.state }))).status).toBe(400)
    expect(arrived.map((url) => url.searchParams.get('code'))).toEqual(['c'])
  })

  it('[security 18.5] refuses another state with 400, and goes on waiting', async () => {
    const asked = wish()
    const uri = await open(asked)
    expect((await fetch(at(uri, { code: 'c', state: 'another' }))).status).toBe(400)
    expect((await fetch(`${at(uri, { code: 'c', state: asked.state })}&state=second`)).status).toBe(400)
    const right = await fetch(at(uri, { code: 'c', state: asked.state }), { redirect: 'manual' })
    expect(right.status).toBe(303)
  })

  it('takes a form that was posted', async () => {
    const asked = wish()
    let code: string | null = null
    const uri = await open(asked, async (url) => {
      code = url.searchParams.get('code')
      return done
    })
    const body = new URLSearchParams({ code: 'posted', state: asked.state })
    const answer = await fetch(uri, { method: 'POST', body, redirect: 'manual' })
    expect([answer.status, code]).toEqual([303, 'posted'])
  })

  it.each(['PUT', 'DELETE', 'OPTIONS'])('refuses %s', async (method) => {
    const asked = wish()
    const uri = await open(asked)
    expect((await fetch(at(uri, { state: asked.state }), { method })).status).toBe(400)
  })

  it('[security 18.5] [security 1.14] puts nothing of the request on the page, and nothing foreign', async () => {
    const asked = wish()
    const words = 'The provider said no. Try again.'
    const uri = await open(asked, async () => ({ done: false, provider: '<GitHub>', app: 'x', words }))
    const query = { error: '<script>alert(1)</script>', state: asked.state }
    const answer = await fetch(at(uri, query))
    const page = await answer.text()
    expect(page).not.toContain('alert')
    expect(page).toContain('&lt;GitHub&gt; is not connected')
    expect(page).toContain(words)
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
  })

  it('refuses an address that is too long, and another name of this computer', async () => {
    const asked = wish()
    const uri = await open(asked)
    expect((await fetch(at(uri, { state: asked.state, x: 'a'.repeat(9000) }))).status).toBe(400)
    const other = new URL(at(uri, { state: asked.state }))
    other.hostname = 'localhost'
    expect((await fetch(other)).status).toBe(400)
  })

  it('is gone after it was closed, and after its time', async () => {
    const asked = wish({ until: new Date(Date.now() + 150) })
    const uri = await open(asked)
    await new Promise((resolve) => setTimeout(resolve, 300))
    await expect(fetch(uri)).rejects.toThrow()
  })

  it('[security 18.6] holds both families where a provider insists on localhost', async () => {
    const uri = await open(wish({ host: 'localhost', path: '/callback' }))
    for (const host of ['127.0.0.1', '::1']) {
      const socket = connect({ host, port: Number(uri.port) })
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
      socket.destroy()
    }
    expect(uri.href).toMatch(/^http:\/\/localhost:\d+\/callback$/)
  })

  it('says who holds a port that is fixed and busy', async () => {
    const busy = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => busy.once('listening', resolve))
    const { port } = busy.address() as AddressInfo
    const refused = open(wish({ port }))
    await expect(refused).rejects.toMatchObject({ code: 'port-taken' })
    if (process.platform === 'linux') {
      await expect(refused).rejects.toThrow(new RegExp(`process ${process.pid}`))
    }
    busy.close()
  })
})
