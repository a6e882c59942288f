import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ProviderFile } from '../../src/model/provider.ts'
import { canary } from '../../src/testing/canary.ts'
import { type HostileServer, hostileServer } from '../../src/testing/hostile-server.ts'
import { noChromium, openChromium } from '../chromium.ts'
import { firstLine, type RealHome, realHome } from '../real.ts'

const ACME: ProviderFile = {
  id: 'acme',
  name: 'Acme',
  category: 'other',
  hosts: ['api.acme.test'],
  oauth: { issuer: 'https://login.acme.test', clientAuth: 'post' },
  registration: 'yours',
  registrationGuide: { console: 'https://acme.test/apps', minutes: 4, note: 'Choose the type native.' },
  signIns: [
    {
      flow: 'authorization-code',
      scopes: ['openid', 'profile'],
      present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
    },
  ],
  revoke: { how: 'rfc7009' },
}

const secret = canary('clientsecret')
let there: HostileServer
let home: RealHome
let browser: Browser
let page: Page

describe('a client of one’s own, on the page', () => {
  beforeAll(async () => {
    if (noChromium !== undefined) return
    there = await hostileServer()
    there.play({
      token: (honest, form) => {
        if (form.get('client_secret') !== secret) return { status: 401, body: { error: 'invalid_client' } }
        return there.codes.has(form.get('code') ?? '')
          ? { body: honest }
          : { status: 400, body: { error: 'invalid_grant' } }
      },
    })
    home = await realHome({ origins: { acme: there.issuer } })
    const folder = join(home.home, 'config', 'providers')
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await writeFile(join(folder, 'acme.json'), JSON.stringify(ACME), { mode: 0o600 })
    const link = await firstLine(home.start(['serve', '--for', 'one', '--port', '0']))
    browser = await openChromium()
    page = await (await browser.newContext()).newPage()
    page.setDefaultTimeout(15_000)
    await page.goto(link)
  }, 120_000)

  afterAll(async () => {
    await browser?.close()
    await home?.close()
    await there?.close()
  })

  it('is asked for in a form instead of a refusal, with all that has to be copied', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    await page.getByText('Needs your own client, 4 min').waitFor()
    await page.getByRole('button', { name: 'Connect Acme' }).click()
    await page.getByText('Acme is signed in to by a client of your own, and there is none yet.').waitFor()
    await page.getByText('Making one takes about 4 minutes.').waitFor()
    const made = page.getByRole('link', { name: 'acme.test/apps' })
    expect(await made.getAttribute('href')).toBe('https://acme.test/apps')
    await page.getByText('Choose the type native.').waitFor()
    await page.getByText('http://127.0.0.1/callback/acme').waitFor()
    await page.getByText('openid profile').waitFor()
    expect(await page.getByLabel('Client secret').getAttribute('type')).toBe('password')
  }, 60_000)

  it('is not kept while its secret is wrong, and what was entered stays', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    await page.getByLabel('Client ID').fill('mine')
    await page.getByLabel('Client secret').fill(canary('wrong'))
    await page.getByRole('button', { name: 'Use this client' }).click()
    await page.getByText('Acme does not know this client id with this secret').waitFor()
    expect(await page.getByLabel('Client ID').inputValue()).toBe('mine')
    expect((await home.run(['registrations'])).stderr).toContain('no registrations yet')
  }, 60_000)

  it('is used at once when it is right, and the sign-in goes on to its end', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    await page.getByLabel('Client secret').fill(secret)
    await page.getByRole('button', { name: 'Use this client' }).click()
    const opening = page.context().waitForEvent('page')
    await page.getByRole('link', { name: 'Continue to the provider' }).click()
    const tab = await opening
    await tab.getByRole('heading', { name: 'Connected to Acme' }).waitFor()
    await page.getByText('acme is connected.').first().waitFor()
    expect(await page.content()).not.toContain(secret)
    await page.getByRole('button', { name: 'Close' }).click()
    await page.getByRole('button', { name: 'Connect Acme' }).waitFor()
    expect(await page.getByText('Needs your own client, 4 min').count()).toBe(0)
  }, 60_000)

  it('may be done without: the form leads to a key in one click, and scopes are nobody’s to give', async ({
    skip,
  }) => {
    skip(noChromium !== undefined, noChromium)
    const dialog = page.getByRole('dialog')
    await page.getByRole('button', { name: 'Connect GitHub', exact: true }).click()
    for (const box of await dialog.getByRole('checkbox').all()) expect(await box.isChecked()).toBe(false)
    expect(await dialog.getByRole('checkbox').count()).toBeGreaterThan(0)
    await dialog.getByLabel('How to sign in').selectOption('authorization-code')
    await dialog.getByRole('button', { name: 'Continue' }).click()
    await dialog.getByLabel('Client ID').waitFor()
    await dialog.getByRole('button', { name: 'Use a key instead' }).click()
    await dialog.getByLabel('Personal access token').waitFor()
    await dialog.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'Connect GitHub', exact: true }).click()
    await dialog.getByRole('button', { name: 'Continue' }).click()
    await dialog.getByText('GitHub is signed in to by a client of your own, and there is none yet.').waitFor()
    await dialog.getByLabel('Personal access token').waitFor()
    await dialog.getByRole('button', { name: 'Cancel' }).click()
  }, 60_000)

  it('is listed and ended at the terminal, which names the account that would be left', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    const [{ id, clientId }] = JSON.parse((await home.run(['registrations', '--json'])).stdout)
    expect(clientId).toBe('mine')
    const refused = await home.run(['unregister', id])
    expect(refused.stderr).toBe(
      '! conflict: there are accounts that cannot be renewed without it: acme\n' +
        `  hint: valetkey unregister ${id} --yes\n`,
    )
    const ended = await home.run(['unregister', id, '--yes'])
    expect(ended.stdout).toBe(
      `unregistered ${id}\n  still alive: client, only you can delete it, at https://acme.test/apps\n`,
    )
  }, 60_000)
})
