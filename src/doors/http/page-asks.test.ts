import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Ask } from '#client'
import { noChromium, openChromium } from '../../../test/chromium.ts'
import { type Caller, type CallerId, type Proof, THE_PERSON } from '../../model/caller.ts'
import { Secret } from '../../model/secret.ts'
import { openDoorStage } from '../../testing/door-stage.ts'
import { askInWords } from '../cli/asking.ts'
import { httpDoor } from './door.ts'
import { openFront } from './front.ts'
import { frontDoor } from './front-door.ts'
import { listenTcp } from './listen.ts'

const OWNER: Caller = { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'test' } }
const PAGE = new URL('./page/', import.meta.url)
const REPORTS = { address: 'practice', may: ['lend'], reason: 'weekly report' } as const

let browser: Browser

describe.skipIf(noChromium)(
  `what the owner is asked on the page, in a real browser${noChromium ? ` (skipped: ${noChromium})` : ''}`,
  () => {
    beforeAll(async () => {
      browser = await openChromium()
    }, 120_000)
    afterAll(() => browser?.close())

    it('is not there while nobody asks, comes as it is asked, and goes when it is answered', async () => {
      await using place = await signedIn()
      const { page, by } = place
      expect(await panel(page).count()).toBe(0)
      const asked = await by('/usr/bin/node /home/a/reports.js').ask(REPORTS)
      await panel(page).getByRole('heading', { name: 'reports wants to get a token of practice' }).waitFor()
      await panel(page).getByText('“weekly report”').waitFor()
      await panel(page).getByText('node /home/a/reports.js').waitFor()
      await settled(page)
      await page.getByRole('button', { name: 'Allow once: reports' }).click()
      await page.getByText('Allowed once: reports may get a token of practice.').first().waitFor()
      await panel(page).waitFor({ state: 'detached' })
      expect(await by('/x').asked(asked.id)).toMatchObject({ state: 'allowed', decision: 'once' })
    })

    it.each([
      ['Refuse', 'refused', 'no'],
      ['Allow for ten minutes', 'allowed', 'ten-minutes'],
      ['Allow always', 'allowed', 'always'],
    ])('takes an answer by the keyboard: %s', async (label, state, decision) => {
      await using place = await signedIn()
      const { page, by } = place
      const { id } = await by('/bin/x').ask(REPORTS)
      await panel(page).waitFor()
      await settled(page)
      const button = page.getByRole('button', { name: label })
      await page.getByRole('heading', { name: 'Waiting for your answer' }).focus()
      for (let at = 0; at < 6 && !(await button.evaluate(isFocused)); at += 1)
        await page.keyboard.press('Tab')
      await page.keyboard.press('Enter')
      await expect.poll(async () => (await by('/bin/x').asked(id)).state).toBe(state)
      expect(await by('/bin/x').asked(id)).toMatchObject({ decision })
    })

    it('allows nothing to whoever types on, or presses where something else has just been', async () => {
      await using place = await signedIn()
      const { page, by } = place
      await page.getByLabel('Find a provider').focus()
      const { id } = await by('/bin/x').ask(REPORTS)
      await panel(page).waitFor()
      expect(await page.getByLabel('Find a provider').evaluate(isFocused)).toBe(true)
      await page.keyboard.type('a b')
      await page.keyboard.press('Enter')
      await page.locator('button', { hasText: 'Always' }).dispatchEvent('click')
      expect(await by('/bin/x').asked(id)).toMatchObject({ state: 'pending' })
      await settled(page)
      await page.getByRole('button', { name: 'Allow once' }).focus()
      await by('/bin/y').ask({ ...REPORTS, reason: 'another one' })
      await panel(page).getByText('another one').waitFor()
      expect(await page.getByRole('button', { name: 'Allow once' }).first().evaluate(isFocused)).toBe(true)
      await page.keyboard.press('Enter')
      expect(await by('/bin/x').asked(id)).toMatchObject({ state: 'pending' })
    })

    it('goes where it was answered elsewhere, and leaves the focus on no answer', async () => {
      await using place = await signedIn()
      const { page, by, desk } = place
      const first = await by('/bin/x').ask(REPORTS)
      await by('/bin/y').ask({ ...REPORTS, reason: 'another one' })
      await panel(page).getByText('another one').waitFor()
      await page.getByRole('button', { name: 'Allow once' }).first().focus()
      await desk.decide(first.id, 'no')
      await panel(page).getByText('weekly report').waitFor({ state: 'detached' })
      expect(await page.evaluate('document.activeElement.textContent')).toBe('Waiting for your answer')
      await page.getByText('Refused: reports may not get a token of practice.').first().waitFor()
    })

    it('says that there is no such account, and then offers only to refuse', async () => {
      await using place = await signedIn()
      const { page, by } = place
      await by('/bin/x').ask({ ...REPORTS, address: 'practice/none' })
      await panel(page).getByText('There is no account at practice/none: connect it first.').waitFor()
      expect(await panel(page).getByRole('button').allTextContents()).toEqual(['Refuse'])
    })

    it('shows what a program says of itself as text', async () => {
      const nasty = '<img src=x onerror=document.title=`taken`>'
      await using place = await signedIn()
      const { page, by } = place
      await by(`/bin/${nasty}`).ask({ ...REPORTS, reason: nasty })
      await panel(page).getByText(`“${nasty}”`).waitFor()
      expect([await page.title(), await panel(page).locator('img').count()]).toEqual(['Valetkey', 0])
    })

    it.each(['light', 'dark'] as const)('fits a narrow screen in %s', async (colorScheme) => {
      await using place = await signedIn()
      const { page, by } = place
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width: 390, height: 844 })
      await by(`/opt/${'long'.repeat(20)}`).ask({ ...REPORTS, reason: 'x'.repeat(200) })
      await panel(page).waitFor()
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
    })
  },
)

describe('the words for an ask', () => {
  const who = { door: 'socket', uid: 1000, pid: 7 }
  it.each([
    [
      { ...who, executable: '/usr/bin/node /home/a/reports.js', chain: ['/bin/bash', '/usr/bin/tmux'] },
      'reports (node /home/a/reports.js, started by bash) wants to get a token of and send requests with github/work: "weekly report"',
    ],
    [
      { ...who, executable: '/opt/My Tools/sync', chain: [] },
      'reports (sync) wants to get a token of and send requests with github/work: "weekly report"',
    ],
    [
      { ...who, executable: null, chain: [] },
      'reports (an unknown program) wants to get a token of and send requests with github/work: "weekly report"',
    ],
  ])('are the same at the terminal and on the page: %o', async (who, words) => {
    const ask: Ask = {
      id: 'ask-1',
      caller: 'app:reports',
      who,
      address: 'github/work',
      may: ['lend', 'forward'],
      reason: 'weekly report',
      state: 'pending',
      decision: null,
      askedAt: '2027-03-01T12:00:00.000Z',
      until: '2027-03-01T12:10:00.000Z',
    }
    expect(askInWords(ask)).toBe(words)
    const { nameOf, programOf, wishOf } = await pageWords()
    expect(`${nameOf(ask)} (${programOf(ask)}) wants to ${wishOf(ask)}: "${ask.reason}"`).toBe(words)
  })
})

const panel = (page: Page) => page.getByRole('region', { name: 'Waiting for your answer' })
const settled = (page: Page) => page.locator('[data-settling]').waitFor({ state: 'detached' })
const isFocused = (node: object) =>
  node === (globalThis as unknown as { document: { activeElement: object } }).document.activeElement

/** The page's own words, which are written for browsers. */
async function pageWords(): Promise<{
  readonly [W in 'nameOf' | 'programOf' | 'wishOf']: (ask: Ask) => string
}> {
  return await import(new URL('ask-words.js', PAGE).href)
}

async function signedIn() {
  const stage = await openDoorStage()
  const front = openFront({ now: () => new Date() })
  const { as, keeper } = stage.broker
  const door = httpDoor({
    version: '0.0.0',
    page: PAGE,
    desk: as,
    keeper,
    identify: async (_, env) => env.caller,
  })
  const { origin, close } = await listenTcp({ door: frontDoor(front, door), port: 0 })
  const desk = as(OWNER)
  await desk.connect({ provider: 'practice', fields: { key: new Secret(stage.key) } })
  const context = await browser.newContext()
  const page = await context.newPage()
  const mistakes: string[] = []
  page.on('pageerror', (error) => mistakes.push(error.message))
  await page.goto(front.newLink(origin).href)
  await page.getByRole('heading', { name: 'Accounts' }).waitFor()
  return {
    page,
    desk,
    by(executable: string, id: CallerId = 'app:reports') {
      const proof: Proof = { door: 'test', uid: 1000, executable }
      return as({ id, owner: THE_PERSON, proof })
    },
    async [Symbol.asyncDispose]() {
      await context.close()
      await close()
      await stage.close()
      expect(mistakes).toEqual([])
    },
  }
}
