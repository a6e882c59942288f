import { createServer as createSquatter } from 'node:net'
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
  browser = await openChromium()
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
