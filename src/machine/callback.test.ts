import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { freePort } from '../../test/free-port.ts'
import { until } from '../../test/real.ts'
import type { Ending, OpenCallback, RedirectWish } from '../model/callbacks.ts'
import { canary } from '../testing/canary.ts'
import { loopbackCallbacks } from './callback.ts'

const opened: OpenCallback[] = []
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
})

const done: Ending = { done: true, provider: 'GitHub' }
const wish = (more: Partial<RedirectWish> = {}): RedirectWish => ({
  provider: 'github',
  flow: 'flow-1',
  host: '127.0.0.1',
  port: undefined,
  path: undefined,
  state: canary('state'),
  until: new Date(Date.now() + 60_000),
  ...more,
})

const callbacks = loopbackCallbacks({ app: 'Reports' })

async function open(
  asked: RedirectWish,
  arrived: (url: URL) => Promise<Ending | undefined> = async () => done,
) {
  const one = await callbacks.open(asked, arrived)
  opened.push(one)
  return one.redirectUri
}

const at = (uri: URL, query: Record<string, string>) => new URL(`?${new URLSearchParams(query)}`, uri)

describe('the callback server', () => {
  it('[security 18.5] [security 2.7] [security 3.2] listens on loopback, on a port and a path that nobody can guess', async () => {
    const [one, other] = [await open(wish()), await open(wish())]
    expect(one.hostname).toBe('127.0.0.1')
    expect(one.pathname).toMatch(/^\/github\/[\w-]{22}$/)
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
    expect((await fetch(at(uri, { code: 'c2', state: asked.state }))).status).toBe(400)
    const page = await fetch(new URL(first.headers.get('location') ?? '', uri))
    expect(await page.text()).toContain('go back to Reports')
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
    const failure = {
      code: 'access-denied',
      detail: 'as the provider says',
      hint: null,
      reaction: 'ask-the-person',
    } as const
    const uri = await open(asked, async () => ({ done: false, provider: '<GitHub>', failure }))
    const query = { error: '<script>alert(1)</script>', state: asked.state }
    const answer = await fetch(at(uri, query))
    const page = await answer.text()
    expect(page).not.toContain('alert')
    expect(page).toContain('&lt;GitHub&gt; was not connected')
    expect(page).toContain('Access was denied at the provider.')
    expect(page).toContain('go back to Reports')
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

  it('goes on waiting when what came did not belong to the sign-in', async () => {
    const asked = wish()
    const decided: (Ending | undefined)[] = [undefined, done]
    const uri = await open(asked, async () => decided.shift())
    const answer = () => fetch(at(uri, { code: 'c', state: asked.state }), { redirect: 'manual' })
    expect([(await answer()).status, (await answer()).status]).toEqual([400, 303])
  })

  it('[security 2.7] is gone after it was closed, after its time, and once the last page was shown', async () => {
    const [closed, late, shown] = [wish(), wish({ until: new Date(Date.now() + 1500) }), wish()]
    const uris = [await open(closed), await open(late), await open(shown)]
    await opened.at(-3)?.close()
    await fetch(at(uris[2] as URL, { code: 'c', state: shown.state })).then((page) => page.text())
    for (const uri of uris) await until(() => isRefused(uri))
  })

  it('still shows the last page when it is closed by what the browser brought', async () => {
    const asked = wish()
    let close = async () => {}
    const uri = await open(asked, async () => {
      await close()
      return done
    })
    close = async () => opened.at(-1)?.close()
    const page = await fetch(at(uri, { code: 'c', state: asked.state }))
    expect(await page.text()).toContain('Connected to GitHub')
  })

  it('takes no harm from a form that breaks off', async () => {
    const asked = wish()
    const uri = await open(asked)
    const socket = connect(Number(uri.port), '127.0.0.1')
    const form = 'content-type: application/x-www-form-urlencoded\r\ncontent-length: 100'
    socket.write(`POST ${uri.pathname} HTTP/1.1\r\nhost: ${uri.host}\r\n${form}\r\n\r\nstate=`)
    await pause(100)
    socket.destroy()
    await pause(100)
    expect((await fetch(at(uri, { code: 'c', state: asked.state }), { redirect: 'manual' })).status).toBe(303)
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

  it('awaits several at an address that is fixed, and never mixes them', async () => {
    const [one, other] = [wish({ port: await freePort(), path: '/callback' }), canary('other')]
    const arrived: string[] = []
    const told = (name: string) => async (url: URL) => {
      arrived.push(`${name} ${url.searchParams.get('code')}`)
      return done
    }
    const uri = await open(one, told('one'))
    expect(await open({ ...one, state: other }, told('other'))).toEqual(uri)
    await fetch(at(uri, { code: 'a', state: other }))
    expect((await fetch(at(uri, { code: 'b', state: other }))).status).toBe(400)
    await fetch(at(uri, { code: 'c', state: one.state }))
    expect(arrived).toEqual(['other a', 'one c'])
    await until(() => isRefused(uri))
    expect(await open(one)).toEqual(uri)
  })

  it('says who holds a port that is fixed and busy, and has it once it is free', async () => {
    const busy = createServer().listen(0, '127.0.0.1')
    await once(busy, 'listening')
    const { port } = busy.address() as AddressInfo
    const refused = open(wish({ port }))
    await expect(refused).rejects.toMatchObject({ code: 'port-taken' })
    if (process.platform === 'linux') {
      await expect(refused).rejects.toThrow(new RegExp(`process ${process.pid}`))
    }
    busy.close()
    await once(busy, 'close')
    expect((await open(wish({ port }))).port).toBe(String(port))
  })
})

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function isRefused({ port }: URL): Promise<boolean> {
  const socket = connect(Number(port), '127.0.0.1')
  const refused = await new Promise<boolean>((resolve) =>
    socket.once('connect', () => resolve(false)).once('error', () => resolve(true)),
  )
  socket.destroy()
  return refused
}
