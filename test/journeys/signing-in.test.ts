import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { noChromium, openChromium } from '../chromium.ts'
import { openServer, type PostgresServer } from '../postgres.ts'
import { firstLine, type RealHome, realHome, until } from '../real.ts'

interface AccountShown {
  readonly id: string
  readonly status: string
  readonly reason: string | null
}

let browser: Browser
let postgres: PostgresServer

beforeAll(async () => {
  if (noChromium === undefined) browser = await openChromium()
  postgres = await openServer()
}, 120_000)

afterAll(async () => {
  await browser?.close()
  await postgres?.close()
})

describe.each(['sqlite', 'postgres'])('signing in by browser, the vault on %s', (engine) => {
  let home: RealHome
  let link: string
  let page: Page
  let before: AccountShown
  let origin: string

  beforeAll(async () => {
    const more = engine === 'postgres' ? { DATABASE_URL: await postgres.newDatabase() } : {}
    home = await realHome({}, more)
    link = await firstLine(home.start(['serve', '--for', 'one', '--port', '0']))
  }, 60_000)

  afterAll(async () => {
    await page?.context().close()
    await home?.close()
  })

  async function account(): Promise<AccountShown> {
    const [found] = JSON.parse((await home.run(['accounts', '--json'])).stdout) as AccountShown[]
    if (found === undefined) throw new Error('nothing is connected')
    return found
  }

  /** Consents in the tab that was opened, and waits until it says how it ended. */
  async function consent(tab: Page, lives = '5 seconds'): Promise<string | null> {
    await tab.getByRole('radio', { name: lives }).check()
    await tab.getByRole('button', { name: 'Allow' }).click()
    return await tab.getByRole('heading').first().textContent()
  }

  async function follow(): Promise<Page> {
    const opening = page.context().waitForEvent('page')
    await page.getByRole('link', { name: 'Continue to the provider' }).click()
    const tab = await opening
    await tab.waitForLoadState()
    return tab
  }

  async function userinfo(token: string): Promise<number> {
    const answer = await fetch(new URL('/me', origin), { headers: { authorization: `Bearer ${token}` } })
    return answer.status
  }

  it('opens the page, connects with consent, and the account appears', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    page = await (await browser.newContext()).newPage()
    page.setDefaultTimeout(15_000)
    await page.goto(link)
    await page.getByRole('button', { name: 'Connect Practice provider' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Continue' }).click()
    const tab = await follow()
    origin = new URL(tab.url()).origin
    expect(await consent(tab)).toBe('Connected to Practice provider')
    expect(tab.url()).not.toContain('code=')
    await page.getByText('practice is connected.').first().waitFor()
    before = await account()
    expect(before).toMatchObject({ status: 'connected', providerId: 'practice', subject: 'alice' })
  }, 60_000)

  it('lends a token that the provider accepts, and another one when that has died', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    const first = (await home.run(['lend', 'practice'])).stdout.trim()
    expect(await userinfo(first)).toBe(200)
    await until(async () => (await userinfo(first)) === 401)
    const second = (await home.run(['lend', 'practice'])).stdout.trim()
    expect(second).not.toBe(first)
    expect(await userinfo(second)).toBe(200)
  }, 60_000)

  it('says why when the grant was revoked at the provider', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    const control = await page.context().newPage()
    await control.goto(new URL('/practice', origin).href)
    await control
      .getByRole('button', { name: /^Revoke now/ })
      .first()
      .click()
    const refused = await until(async () => {
      const tried = await home.run(['lend', 'practice'])
      return tried.code === 3 ? tried : undefined
    })
    expect(refused.stderr).toMatch(/^! needs-reauth: .*\n {2}hint: valetkey reconnect practice/)
    expect(await account()).toMatchObject({ status: 'needs-reauth', reason: expect.any(String) })
  }, 60_000)

  it('is reconnected in place: id, bindings and history stay', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    await home.run(['bind', 'app:reports', 'practice', '--may', 'lend', '--asks', 'never'])
    await page.reload()
    await page.getByRole('button', { name: 'Reconnect practice' }).click()
    expect(await consent(await follow(), '1 hour')).toBe('Connected to Practice provider')
    await page.getByText('practice is connected.').first().waitFor()
    expect(await account()).toMatchObject({ id: before.id, status: 'connected' })
    expect((await home.run(['bindings'])).stdout).toContain('app:reports')
    expect((await home.run(['audit', 'verify'])).stdout).toContain('ok')
  }, 60_000)
})
