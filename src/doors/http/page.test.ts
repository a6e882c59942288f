import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Failure, type Reaction, ValetkeyError } from '#client'
import { noChromium, openChromium } from '../../../test/chromium.ts'
import { type Caller, THE_PERSON } from '../../model/caller.ts'
import type { Account, Desk } from '../../model/words.ts'
import { type DoorStage, openDoorStage } from '../../testing/door-stage.ts'
import { httpDoor } from './door.ts'
import { openFront } from './front.ts'
import { frontDoor } from './front-door.ts'
import { listenTcp } from './listen.ts'

const OWNER: Caller = { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'test' } }
const PAGE = new URL('./page/', import.meta.url)

let browser: Browser

describe.skipIf(noChromium)(
  `the page, in a real browser${noChromium ? ` (skipped: ${noChromium})` : ''}`,
  () => {
    beforeAll(async () => {
      browser = await openChromium()
    }, 120_000)
    afterAll(() => browser?.close())

    it('[security 1.14] trades the code of a link for a cookie, and leaves no code behind', async () => {
      await using place = await opened()
      const { page, front, origin } = place
      const link = front.newLink(origin)
      link.hostname = 'localhost'
      await page.goto(link.href)
      await page.getByRole('heading', { name: 'Accounts' }).waitFor()
      expect(page.url()).toBe(`${new URL(origin).origin}/`)
      expect(new URL(page.url()).hostname).toBe('127.0.0.1')
      const cookies = await page.context().cookies()
      expect(cookies).toMatchObject([
        { name: '__Host-valetkey', httpOnly: true, secure: true, sameSite: 'Strict', path: '/' },
      ])
      const kept = await page.evaluate('[localStorage.length, sessionStorage.length, document.cookie]')
      expect(kept).toEqual([0, 0, ''])
      await page.goBack()
      expect(page.url()).not.toContain('code=')
    })

    it('says what to do to whom is not signed in, and to whom comes with a used link', async () => {
      await using place = await opened()
      const { page, front, origin } = place
      await page.goto(origin.href)
      await page.getByText('Nobody is signed in here').waitFor()
      await page.getByText('valetkey open').waitFor()
      const link = front.newLink(origin)
      front.enter(link.hash.slice('#code='.length))
      await page.goto(link.href)
      await page.getByText('This link is no longer good').waitFor()
    })

    it('walks a sign-in, says why a key is not taken, and shows the account', async () => {
      await using place = await signedIn()
      const { page, stage } = place
      await page.getByText('Nothing is connected yet').waitFor()
      await page.getByRole('button', { name: 'Connect Practice' }).click()
      const key = page.getByLabel('Key', { exact: true })
      await key.waitFor()
      expect(await key.getAttribute('type')).toBe('password')
      expect(await page.evaluate('document.activeElement.id')).toBe('field-key')
      await key.fill('wrong')
      await page.getByRole('button', { name: 'Continue' }).click()
      await page.getByText('the provider does not take this key').waitFor()
      await key.fill(stage.key)
      await key.press('Enter')
      await page.getByText('practice is connected.').first().waitFor()
      await page.getByRole('button', { name: 'Close' }).click()
      await page.getByRole('heading', { name: 'Ada' }).waitFor()
      expect(await page.content()).not.toContain(stage.key)
    })

    it.each<[Reaction, string[]]>([
      ['try-again', ['Try again', 'Close']],
      ['refresh', ['Try again', 'Close']],
      ['reconnect', ['Reconnect', 'Close']],
      ['ask-the-person', ['Begin again', 'Close']],
      ['nothing', ['Close']],
    ])('offers what is to be done about a sign-in that failed: %s', async (reaction, offered) => {
      await using place = await signedIn({}, failing({ code: 'of-a-newer-one', reaction }))
      const { page } = place
      await page.getByRole('button', { name: 'Connect Practice' }).click()
      const alert = page.getByRole('alert')
      await alert.getByText('it did not work out').waitFor()
      expect(await alert.textContent()).toContain('Next: do this')
      expect(await page.getByRole('dialog').getByRole('button').allTextContents()).toEqual(offered)
    })

    it('does not take a sign-in that was cancelled for an error', async () => {
      await using place = await signedIn({}, failing({ code: 'cancelled', reaction: 'nothing' }))
      const { page } = place
      await page.getByRole('button', { name: 'Connect Practice' }).click()
      await page.getByRole('status').getByText('Cancelled.').waitFor()
      expect(await page.getByRole('alert').count()).toBe(0)
      expect(await page.getByRole('dialog').getByRole('button').allTextContents()).toEqual(['Close'])
    })

    it('says why an account was not refreshed, and does what is to be done about it', async () => {
      const hint = 'valetkey providers practice'
      const refusals = (['network-error', 'refused-by-policy', 'needs-reauth'] as const).map(
        (code) => new ValetkeyError(code, `no: ${code}`, { hint }),
      )
      const refresh = async () => {
        throw refusals.shift()
      }
      await using place = await signedIn({ forwardOnly: false }, () => ({ refresh }))
      const { page } = place
      const dialog = page.getByRole('dialog')
      const offered = () => dialog.getByRole('button').allTextContents()
      await page.getByRole('button', { name: 'Refresh practice' }).click()
      await dialog.getByText('no: network-error').waitFor()
      expect(await dialog.textContent()).toContain(hint)
      expect(await offered()).toEqual(['Try again', 'Close'])
      await dialog.getByRole('button', { name: 'Try again' }).click()
      await dialog.getByText('no: refused-by-policy').waitFor()
      expect(await offered()).toEqual(['Close'])
      await dialog.getByRole('button', { name: 'Close' }).click()
      await page.getByRole('button', { name: 'Refresh practice' }).click()
      await dialog.getByText('no: needs-reauth').waitFor()
      await dialog.getByRole('button', { name: 'Reconnect' }).click()
      await page.getByRole('heading', { name: 'Reconnect practice' }).waitFor()
      await page.getByLabel('Key', { exact: true }).waitFor()
    })

    it('cancels a sign-in that is left by Escape', async () => {
      await using place = await signedIn()
      const { page, desk } = place
      const begun = page.waitForResponse((answer) => answer.url().endsWith('/connect'))
      await page.getByRole('button', { name: 'Connect Practice' }).click()
      const { id } = (await (await begun).json()) as { id: string }
      await page.getByLabel('Key', { exact: true }).press('Escape')
      await expect.poll(async () => (await desk.flow(id)).state).toBe('cancelled')
    })

    it('shows what happens elsewhere as it happens', async () => {
      await using place = await signedIn()
      const { page, desk, connect } = place
      await page.getByText('Nothing is connected yet').waitFor()
      await page.getByLabel('Find a provider').fill('prac')
      await connect()
      await page.getByRole('heading', { name: 'Ada' }).waitFor()
      expect(await page.getByLabel('Find a provider').inputValue()).toBe('prac')
      await desk.revoke('practice')
      await page.getByText('practice was revoked.').waitFor()
      await page.getByText('Nothing is connected yet').waitFor()
    })

    it('asks before it revokes, and shows the receipt', async () => {
      await using place = await signedIn()
      const { page, desk, connect } = place
      await connect()
      const limits = { only: ['GET /me'], budget: 3 }
      await desk.bind({ caller: 'app:reports', address: 'practice', may: ['forward'], asks: 'never', limits })
      await page.reload()
      await page.getByRole('heading', { name: 'app:reports' }).waitFor()
      await page.getByText('may forward · GET /me · 3 in all').waitFor()
      await page.getByRole('button', { name: 'Revoke practice' }).click()
      await page.getByRole('button', { name: 'Keep it' }).click()
      expect(await desk.accounts()).toHaveLength(1)
      await page.getByRole('button', { name: 'Revoke practice' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Revoke', exact: true }).click()
      await page.getByText('still alive').waitFor()
      await page.getByText('0 leases and 1 binding ended with it.').waitFor()
      expect(await desk.accounts()).toEqual([])
    })

    it('locks, unlocks, and signs out', async () => {
      await using place = await signedIn()
      const { page } = place
      await page.getByRole('button', { name: 'Lock', exact: true }).click()
      await page.getByText('The vault is locked').waitFor()
      await page.getByRole('button', { name: 'Unlock' }).click()
      await page.getByRole('heading', { name: 'Accounts' }).waitFor()
      await page.getByRole('button', { name: 'Sign out' }).click()
      await page.getByText('Nobody is signed in here').waitFor()
      expect(await page.context().cookies()).toEqual([])
    })

    it('shows what others say as text, and never as a page', async () => {
      const nasty = '<img src=x onerror="document.title=`taken`"><script>document.title=`taken`</script>'
      await using place = await signedIn({ displayName: nasty, reason: nasty, status: 'needs-reauth' })
      const { page } = place
      await page.getByRole('heading', { name: nasty }).waitFor()
      expect(await page.title()).toBe('Valetkey')
      expect(await page.locator('main img').count()).toBe(0)
    })

    it.each(['light', 'dark'] as const)('fits a narrow screen in %s', async (colorScheme) => {
      await using place = await signedIn({ displayName: 'a'.repeat(80) })
      const { page } = place
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width: 390, height: 844 })
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
      await page.getByRole('button', { name: 'Connect Practice' }).click()
      await page.getByRole('button', { name: 'Cancel' }).waitFor()
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
    })

    it.each(['localhost', '127.0.0.1'])(
      '[security 18.4] lets a page of %s change and read nothing',
      async (name) => {
        await using place = await signedIn()
        const { page, desk, origin, connect } = place
        await connect()
        await using other = await anotherPage(name)
        const tab = await page.context().newPage()
        await tab.goto(other.origin)
        const heard = await tab.evaluate(`(async () => {
      const post = (path, init) => fetch('${origin.origin}' + path, { credentials: 'include', ...init })
        .then((answer) => answer.type + ' ' + answer.status, () => 'blocked')
      return [
        await post('/api/vault/lock', { method: 'POST', mode: 'no-cors' }),
        await post('/api/vault/lock', { method: 'POST', mode: 'no-cors', body: '{}' }),
        await post('/api/vault/lock', { method: 'POST', headers: { 'valetkey-request': '1' } }),
        await post('/api/accounts/practice', { method: 'DELETE' }),
        await post('/api/accounts', {}),
        await new Promise((resolve) => {
          const frame = document.body.appendChild(document.createElement('iframe'))
          frame.onload = () => resolve(frame.contentDocument === null ? 'blocked' : 'framed')
          frame.src = '${origin.origin}/'
        }),
      ]
    })()`)
        expect(heard).toEqual(['opaque 0', 'opaque 0', 'blocked', 'blocked', 'blocked', 'blocked'])
        expect(await desk.accounts()).toHaveLength(1)
      },
    )
  },
)

type Other = (desk: Desk) => Partial<Desk>

async function opened(shown: Partial<Account> = {}, other: Other = () => ({})) {
  const stage = await openDoorStage()
  const front = openFront({ now: () => new Date() })
  const { as, keeper } = stage.broker
  const door = httpDoor({
    version: '0.0.0',
    page: PAGE,
    desk: (caller) => ({ ...showing(as(caller), shown), ...other(as(caller)) }),
    keeper,
    identify: async (_, env) => env.caller,
  })
  const { origin, close } = await listenTcp({ door: frontDoor(front, door), port: 0 })
  const context = await browser.newContext()
  const page = await context.newPage()
  const mistakes: string[] = []
  page.on('pageerror', (error) => mistakes.push(error.message))
  return {
    page,
    stage,
    front,
    origin,
    desk: as(OWNER),
    connect: () => connected(as(OWNER), stage),
    async [Symbol.asyncDispose]() {
      await context.close()
      await close()
      await stage.close()
      expect(mistakes).toEqual([])
    },
  }
}

async function signedIn(shown: Partial<Account> = {}, other?: Other) {
  const place = await opened(shown, other)
  if (Object.keys(shown).length > 0) await place.connect()
  await enter(place.page, place.front.newLink(place.origin))
  return place
}

async function enter(page: Page, link: URL): Promise<void> {
  await page.goto(link.href)
  await page.getByRole('heading', { name: 'Accounts' }).waitFor()
}

async function connected(desk: Desk, { key }: DoorStage): Promise<void> {
  const { Secret } = await import('../../model/secret.ts')
  await desk.connect({ provider: 'practice', fields: { key: new Secret(key) } })
}

/** Every sign-in ends badly at once. */
function failing(why: Pick<Failure, 'code' | 'reaction'>): Other {
  const failure = { ...why, detail: 'it did not work out', hint: 'do this' }
  return (desk) => ({
    connect: async (request) => ({ ...(await desk.connect(request)), state: 'failed', step: null, failure }),
  })
}

/** The desk, with something else said of each account than is so. */
function showing(desk: Desk, shown: Partial<Account>): Desk {
  return {
    ...desk,
    accounts: async () => (await desk.accounts()).map((account) => ({ ...account, ...shown })),
  }
}

/** Another origin on this computer, as any program here could serve one. */
async function anotherPage(name: string) {
  const server = createServer((_, answer) => {
    answer.setHeader('content-type', 'text/html').end('<body>another page</body>')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://${name}:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
