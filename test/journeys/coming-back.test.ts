import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FlowSession, Problem } from '#client'
import { visitorOf } from '../../src/practice/visitor.ts'
import { canary } from '../../src/testing/canary.ts'
import { noChromium, openChromium } from '../chromium.ts'
import { freePort } from '../free-port.ts'
import { firstLine, type RealHome, realHome, until } from '../real.ts'
import { askAsStranger, noStranger } from './stranger.ts'

let port: number
let home: RealHome
let session: string

beforeAll(async () => {
  port = await freePort()
  home = await realHome({ port, callback: 'page' })
  const link = await firstLine(home.start(['serve', '--for', 'one']))
  session = await enter(link)
}, 60_000)

afterAll(() => home?.close())

async function enter(link: string): Promise<string> {
  const { origin, hash } = new URL(link)
  const entered = await fetch(new URL('/api/session', origin), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ code: hash.replace('#code=', '') }),
  })
  return cookieIn(entered)
}

const newLink = async () => (await home.run(['open', '--no-browser'])).stdout.trim()
const cookieIn = (answer: Response) => answer.headers.getSetCookie()[0]?.split(';')[0] ?? ''
const at = (path: string) => new URL(path, `http://127.0.0.1:${port}`)

/** A sign-in that is begun in the page, with what the browser has to keep of it. */
async function begin(bucket: string, cookie = session) {
  const answer = await fetch(at('/api/providers/practice/connect'), {
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie },
    body: JSON.stringify({ bucket }),
  })
  const begun = (await answer.json()) as FlowSession
  return {
    id: begun.id,
    link: linkOf(begun),
    setCookie: answer.headers.getSetCookie(),
    cookie: cookieIn(answer),
  }
}

function linkOf({ step }: FlowSession): URL {
  if (step?.ask !== 'visit') throw new Error('nobody is sent away')
  return new URL(step.url)
}

const consent = (link: URL) => visitorOf({ origin: new URL(link.origin) }).consent(link)
const come = (back: URL, cookie = '', more: RequestInit = {}) =>
  fetch(back, { redirect: 'manual', ...more, headers: { cookie, 'sec-fetch-site': 'cross-site' } })
const look = async (id: string) => (await (await home.ask(`/api/flows/${id}`)).json()) as FlowSession

describe('a browser that comes back to the page', () => {
  it('[security 0.11] is known by a cookie that holds the id of the sign-in alone', async () => {
    const { id, link, setCookie } = await begin('cookie')
    expect(link.searchParams.get('redirect_uri')).toBe(at('/oauth/callback/practice').href)
    expect(setCookie).toEqual([
      `__Host-valetkey-${id}=${id}; HttpOnly; Secure; SameSite=None; Path=/; Max-Age=600`,
    ])
  })

  it('[security 1.14] [security 1.2] ends the sign-in once, and leaves no code on the address bar', async () => {
    const { id, link, cookie } = await begin('right')
    const back = await consent(link)
    const first = await come(back, cookie)
    expect([first.status, first.headers.getSetCookie()]).toEqual([
      303,
      [`__Host-valetkey-${id}=; HttpOnly; Secure; SameSite=None; Path=/; Max-Age=0`],
    ])
    const location = first.headers.get('location') ?? ''
    expect(location).toMatch(/^\/oauth\/callback\/over\/[\w-]{22}$/)
    const page = await fetch(at(location))
    expect(await page.text()).toContain('go back to Valetkey')
    expect(page.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
    expect(page.headers.get('referrer-policy')).toBe('no-referrer')
    expect(await look(id)).toMatchObject({ state: 'done', account: { subject: 'alice' } })
    expect((await come(back, cookie)).status).toBe(400)
  })

  it('takes an answer that comes as a form of another site', async () => {
    const { id, link, cookie } = await begin('form')
    const back = await consent(link)
    const body = new URLSearchParams(back.searchParams)
    back.search = ''
    expect((await come(back, cookie, { method: 'POST', body })).status).toBe(303)
    expect(await look(id)).toMatchObject({ state: 'done' })
  })

  it('[security 0.11] [security 1.3] refuses one that did not begin it, or whose person left', async () => {
    const { id, link, cookie } = await begin('other')
    const back = await consent(link)
    const another = await begin('another')
    const forged = cookie.replace(/=.*/, '=flow-of-another')
    for (const shown of ['', session, another.cookie, forged, `${cookie}; ${cookie}`]) {
      const refused = await come(back, shown)
      expect([refused.status, await refused.text()]).toEqual([
        403,
        expect.stringContaining('This browser did not begin the sign-in'),
      ])
    }
    expect(await look(id)).toMatchObject({ state: 'asking' })
    expect((await come(back, cookie)).status).toBe(303)

    const leaving = await enter(await newLink())
    const left = await begin('left', leaving)
    await fetch(at('/api/session'), {
      method: 'DELETE',
      headers: { cookie: leaving, 'valetkey-request': '1' },
    })
    expect((await come(await consent(left.link), left.cookie)).status).toBe(403)
    expect(await look(left.id)).toMatchObject({ state: 'asking' })
  })

  it("[security 1.4] refuses another state, another provider's path, and another name of this computer", async () => {
    const { id, link, cookie } = await begin('state')
    const back = await consent(link)
    const state = new URL(back)
    state.searchParams.set('state', canary('state'))
    const path = new URL(back)
    path.pathname = '/oauth/callback/github'
    const host = new URL(back)
    host.hostname = 'localhost'
    const twice = new URL(`${back}&state=${canary('second')}`)
    for (const wrong of [state, path, host, twice]) expect((await come(wrong, cookie)).status).toBe(400)
    expect(await look(id)).toMatchObject({ state: 'asking' })
    expect((await come(back, cookie)).status).toBe(303)
  })

  it('[security 0.11] refuses another user of this computer, whatever they show', async ({ skip }) => {
    skip(noStranger !== undefined, noStranger)
    const { id, link, cookie } = await begin('strange')
    const { pathname, search, host } = await consent(link)
    const [heard] = await askAsStranger({ port }, [
      { method: 'GET', path: `${pathname}${search}`, headers: { host, cookie } },
    ])
    expect(heard).toMatchObject({ status: 403, text: expect.stringContaining('another user') })
    expect(await look(id)).toMatchObject({ state: 'asking' })
  })

  it('is told to paste the address where the sign-in was begun at the terminal', async () => {
    const body = JSON.stringify({ bucket: 'terminal' })
    const begun = await home.ask('/api/providers/practice/connect', { method: 'POST', body })
    expect(begun.headers.getSetCookie()).toEqual([])
    const flow = (await begun.json()) as FlowSession
    const back = await consent(linkOf(flow))
    const refused = await come(back, session)
    expect([refused.status, await refused.text()]).toEqual([
      403,
      expect.stringContaining('paste the address of this page there'),
    ])
    const answer = await home.ask(`/api/flows/${flow.id}/answer`, {
      method: 'POST',
      body: JSON.stringify({ callback: back.href }),
    })
    expect((await answer.json()) as Problem & FlowSession).toMatchObject({ state: 'done' })
    expect((await come(back, session)).status).toBe(400)
  })
})

describe('a real browser', () => {
  let browser: Browser
  let page: Page
  let site: Server
  /** What the other site sends the browser on with. */
  let shown = ''

  beforeAll(async () => {
    if (noChromium !== undefined) return
    site = createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end(shown)
    })
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
    browser = await openChromium(
      '--host-resolver-rules=MAP provider.test 127.0.0.1',
      '--disable-features=LocalNetworkAccessChecks',
    )
    page = await (await browser.newContext()).newPage()
    page.setDefaultTimeout(15_000)
    await page.goto(await newLink())
  }, 60_000)

  afterAll(async () => {
    await browser?.close()
    site?.close()
  })

  async function linkInPage(bucket: string): Promise<URL> {
    await page.getByRole('button', { name: 'Connect Practice provider' }).click()
    const name = page.getByLabel('A name for this account')
    const link = page.getByRole('link', { name: 'Continue to the provider' })
    const goOn = page.getByRole('dialog').getByRole('button', { name: 'Continue' })
    await goOn.waitFor()
    if (await name.isVisible()) await name.fill(bucket)
    await goOn.click()
    return new URL((await link.getAttribute('href')) ?? '')
  }

  async function isConnected(): Promise<void> {
    await page
      .getByText(/^practice\S* is connected\.$/)
      .first()
      .waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
  }

  it('goes from the page to the provider and back', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    await linkInPage('whole')
    const opening = page.context().waitForEvent('page')
    await page.getByRole('link', { name: 'Continue to the provider' }).click()
    const tab = await opening
    await tab.getByRole('button', { name: 'Allow' }).click()
    await tab.getByRole('heading', { name: 'Connected to Practice provider' }).waitFor()
    expect(tab.url()).not.toContain('code=')
    await isConnected()
  }, 60_000)

  it.for(['link', 'form'])(
    'brings its cookie along from another site, with a %s',
    { timeout: 60_000 },
    async (way, { skip }) => {
      skip(noChromium !== undefined, noChromium)
      const back = await consent(await linkInPage(`by-${way}`))
      const fields = [...back.searchParams].map(([name, value]) => `<input name="${name}" value="${value}">`)
      shown =
        way === 'link'
          ? `<a id="go" href="${back.href.replaceAll('&', '&amp;')}">go</a>`
          : `<form method="post" action="${back.origin}${back.pathname}">${fields.join('')}<button id="go">go</button></form>`
      const tab = await page.context().newPage()
      await tab.goto(`http://provider.test:${(site.address() as AddressInfo).port}/`)
      await tab.locator('#go').click()
      await tab.getByRole('heading', { name: 'Connected to Practice provider' }).waitFor()
      await isConnected()
    },
  )

  it('[security 0.11] of somebody who was sent the link is refused', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    const link = await linkInPage('sent')
    const stranger = await (await browser.newContext()).newPage()
    await stranger.goto(link.href)
    await stranger.getByRole('button', { name: 'Allow' }).click()
    await stranger.getByRole('heading', { name: 'This browser did not begin the sign-in' }).waitFor()
    await page.getByRole('button', { name: 'Cancel' }).click()
    expect(await until(async () => (await home.run(['accounts'])).stdout)).not.toContain('practice/sent')
  }, 60_000)
})
