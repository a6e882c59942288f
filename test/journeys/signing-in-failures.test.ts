import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FlowSession, Problem } from '#client'
import { type Answers, visitorOf } from '../../src/practice/visitor.ts'
import { canary } from '../../src/testing/canary.ts'
import { noChromium, openChromium } from '../chromium.ts'
import { firstLine, type RealHome, realHome, until } from '../real.ts'
import { noTerminal, type Typed, typeCommand } from '../terminal.ts'
import { isRefused } from './squatter.ts'
import { askAsStranger, hitAsStranger, noStranger } from './stranger.ts'

let home: RealHome
let link: string

beforeAll(async () => {
  home = await realHome()
  link = await firstLine(home.start(['serve', '--for', 'one', '--port', '0']))
}, 60_000)

afterAll(() => home?.close())

async function post<T = FlowSession>(path: string, body: object = {}): Promise<T> {
  const answer = await home.ask(path, { method: 'POST', body: JSON.stringify(body) })
  return (await answer.json()) as T
}

const connect = (bucket: string) => post('/api/providers/practice/connect', { bucket })
const look = async (id: string) => (await (await home.ask(`/api/flows/${id}`)).json()) as FlowSession
const answer = (id: string, callback: URL) =>
  post<Problem & FlowSession>(`/api/flows/${id}/answer`, { callback: callback.href })
const subjectAt = async (bucket: string) => {
  const all = JSON.parse((await home.run(['accounts', '--json'])).stdout) as {
    bucket: string
    subject: string
  }[]
  return all.find((account) => account.bucket === bucket)?.subject
}

function urlOf({ step }: FlowSession): URL {
  if (step?.ask !== 'visit') throw new Error('nobody is sent away')
  return new URL(step.url)
}

/** The person follows the link, and answers at the provider: where the browser is sent back to. */
async function consent(link: URL, answers?: Answers): Promise<URL> {
  return visitorOf({ origin: new URL(link.origin) }).consent(link, answers)
}

const pageAt = async (url: URL) => await (await fetch(url)).text()

function without(url: URL, name: string, value?: string): URL {
  const changed = new URL(url)
  changed.searchParams.delete(name)
  if (value !== undefined) changed.searchParams.set(name, value)
  return changed
}

describe('a sign-in that does not work out', () => {
  it('is over when the person says no, and says so in every place', async () => {
    const session = await connect('denied')
    const back = await consent(urlOf(session), { decision: 'deny' })
    const page = await pageAt(back)
    expect(page).toContain('Practice provider was not connected')
    expect(page).toContain(
      'Access was denied at the provider. If you did not mean that, go back to Valetkey and connect it once more.',
    )
    expect(await look(session.id)).toMatchObject({
      state: 'failed',
      step: null,
      failure: {
        code: 'access-denied',
        detail: 'access was denied at the provider',
        hint: 'valetkey connect practice/denied',
      },
    })
    expect(await isRefused(back)).toBe(true)
  })

  it('[security 1.3] [security 18.5] goes on where an answer has another state, or comes to another place', async () => {
    const session = await connect('foreign')
    const right = await consent(urlOf(session))
    const wrong = without(right, 'state', canary('state'))
    expect((await fetch(wrong)).status).toBe(400)
    const refused = await home.ask(`/api/flows/${session.id}/answer`, {
      method: 'POST',
      body: JSON.stringify({ callback: wrong.href }),
    })
    expect([refused.status, await refused.json()]).toMatchObject([
      400,
      { code: 'invalid-state', hint: 'finish it in the browser that began it, or begin again' },
    ])
    expect(await look(session.id)).toMatchObject({ state: 'asking', step: session.step })
    expect(await pageAt(right)).toContain('Connected to Practice provider')
    expect(await look(session.id)).toMatchObject({ state: 'done' })
  })

  it('[security 1.14] takes a callback once: replayed it finds nobody, and the sign-in is over', async () => {
    const session = await connect('replayed')
    const back = await consent(urlOf(session))
    const first = await fetch(back, { redirect: 'manual' })
    expect([first.status, first.headers.get('location')]).toEqual([303, expect.not.stringContaining('code')])
    expect((await fetch(back)).status).toBe(400)
    expect(await pageAt(new URL(first.headers.get('location') ?? '', back))).toContain('Connected to')
    expect(await until(() => isRefused(back))).toBe(true)
    expect(await answer(session.id, back)).toMatchObject({
      code: 'flow-used',
      hint: 'valetkey connect practice/replayed',
    })
  })

  it('is over when the provider does not take the code', async () => {
    const session = await connect('spent')
    const back = without(await consent(urlOf(session)), 'code', canary('code'))
    expect(await pageAt(back)).toContain('The code was not accepted. Go back to Valetkey and try again.')
    expect(await look(session.id)).toMatchObject({
      state: 'failed',
      failure: { code: 'invalid-code', hint: expect.any(String) },
    })
    expect(await isRefused(back)).toBe(true)
  })

  it('[security 0.11] is not ended by another user of this computer, who was sent the link', async ({
    skip,
  }) => {
    skip(noStranger !== undefined, noStranger)
    const session = await connect('strange')
    const back = await consent(urlOf(session), { person: 'bob' })
    const { pathname, search, host } = back
    const port = Number(back.port)
    const asked = { method: 'GET', path: `${pathname}${search}`, headers: { host } }
    const [heard] = await askAsStranger({ port }, [asked])
    expect(heard).toMatchObject({ status: 400, text: expect.stringContaining('not a sign-in under way') })
    // Whoever hangs up at once cannot be named any more, and is not taken for us.
    await hitAsStranger(port, `GET ${asked.path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`, 20)
    expect(await look(session.id)).toMatchObject({ state: 'asking' })
    expect(await subjectAt('strange')).toBeUndefined()
    expect(await pageAt(back)).toContain('Connected to Practice provider')
  })

  it('never mixes two that are under way at one provider', async () => {
    const [one, other] = [await connect('two-one'), await connect('two-other')]
    const [alice, bob] = [
      await consent(urlOf(one), { person: 'alice' }),
      await consent(urlOf(other), { person: 'bob' }),
    ]
    expect([alice.host, alice.pathname]).not.toEqual([bob.host, bob.pathname])
    const crossed = without(bob, 'state', alice.searchParams.get('state') ?? '')
    expect((await fetch(crossed)).status).toBe(400)
    expect(await answer(one.id, bob)).toMatchObject({
      code: 'invalid-request',
      hint: 'paste the whole address at which the browser ended',
    })
    expect(await answer(one.id, crossed)).toMatchObject({ code: 'invalid-request' })
    await Promise.all([pageAt(bob), pageAt(alice)])
    expect([await subjectAt('two-one'), await subjectAt('two-other')]).toEqual(['alice', 'bob'])
  })
})

/** What is typed before it is asked for goes to the terminal itself. */
function timesAsked(typed: Typed): number {
  return typed.said().split('◆  or paste here').length - 1
}

/** Where no browser can be opened, another way would be taken first. */
const BY_BROWSER = ['--flow', 'authorization-code']

describe('at the terminal', () => {
  async function linkIn(typed: ReturnType<typeof typeCommand>): Promise<URL> {
    return new URL(await until(() => /^sign in at (\S+)$/m.exec(typed.said())?.[1]))
  }

  it('prints the link where there is no browser, and ends by itself when the person is back', async ({
    skip,
  }) => {
    skip(noTerminal !== undefined, noTerminal)
    const typed = typeCommand(home, ['connect', 'practice', ...BY_BROWSER])
    const back = await consent(await linkIn(typed))
    expect(await pageAt(back)).toContain('Connected to Practice provider')
    expect(await typed.code()).toBe(0)
    expect(typed.said()).toMatch(/^connected practice as Alice$/m)
    expect(await isRefused(back)).toBe(true)
  })

  it('asks again for what was pasted wrongly, and takes what is right', async ({ skip }) => {
    skip(noTerminal !== undefined, noTerminal)
    const typed = typeCommand(home, ['connect', 'practice/pasted', ...BY_BROWSER])
    const back = await consent(await linkIn(typed))
    await until(() => timesAsked(typed) === 1)
    typed.type(without(back, 'state', 'another').href)
    await until(() => timesAsked(typed) === 2)
    expect(typed.said()).toContain('! invalid-state: ')
    expect(typed.said()).toContain('hint: finish it in the browser that began it, or begin again')
    typed.type(back.href)
    expect(await typed.code()).toBe(0)
    expect(typed.said()).toMatch(/^connected practice\/pasted as Alice$/m)
    expect(await isRefused(back)).toBe(true)
  })

  it('says that access was denied', async ({ skip }) => {
    skip(noTerminal !== undefined, noTerminal)
    const typed = typeCommand(home, ['connect', 'practice/no', ...BY_BROWSER])
    await pageAt(await consent(await linkIn(typed), { decision: 'deny' }))
    await until(() => typed.said().includes('try a code on any device instead?'))
    typed.type('')
    expect(await typed.code()).toBe(1)
    expect(typed.said()).toContain(
      '! access-denied: access was denied at the provider\n  hint: valetkey connect practice/no',
    )
  })

  it('does not put another person in the place of the one who is there, unless that is insisted on', async ({
    skip,
  }) => {
    skip(noTerminal !== undefined, noTerminal)
    const refused = typeCommand(home, ['reconnect', 'practice'])
    const page = await pageAt(await consent(await linkIn(refused), { person: 'bob' }))
    expect(page).toContain('This is another account at practice than the one connected here.')
    expect(await refused.code()).toBe(1)
    expect(refused.said()).toContain(
      '! conflict: this is another account at practice than the one connected here\n  hint: valetkey connect practice/another-name, or valetkey reconnect practice --insist',
    )
    expect(await subjectAt('default')).toBe('alice')
    const insisting = typeCommand(home, ['reconnect', 'practice', '--insist'])
    await pageAt(await consent(await linkIn(insisting), { person: 'bob' }))
    expect(await insisting.code()).toBe(0)
    expect(insisting.said()).toMatch(/^reconnected practice as Bob$/m)
    expect(await subjectAt('default')).toBe('bob')
  })

  it('leaves nobody waiting when the person presses ctrl-c', async ({ skip }) => {
    skip(noTerminal !== undefined, noTerminal)
    const typed = typeCommand(home, ['connect', 'practice/left', ...BY_BROWSER])
    const back = new URL((await linkIn(typed)).searchParams.get('redirect_uri') ?? '')
    await until(() => typed.said().includes('or paste here'))
    typed.type('\u0003')
    expect(await typed.code()).toBe(130)
    expect(await isRefused(back)).toBe(true)
  })

  it('needs a person: for a program there is a refusal, and what to do', async () => {
    const refused = await home.run(['connect', 'practice/nobody', ...BY_BROWSER])
    expect(refused).toEqual({
      code: 1,
      stdout: '',
      stderr:
        '! browser-unavailable: this sign-in needs a person at a terminal\n  hint: run valetkey connect practice/nobody --flow authorization-code in a terminal, or use the page: valetkey open\n' +
        '  or: valetkey connect practice/nobody --flow device-code\n',
    })
  })
})

describe('in the page', () => {
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    if (noChromium !== undefined) return
    browser = await openChromium()
    page = await (await browser.newContext()).newPage()
    page.setDefaultTimeout(15_000)
    // With one there already, the page asks for a name for the next.
    if ((await subjectAt('default')) === undefined) await connectAsAlice('default')
    await page.goto(link)
  }, 60_000)

  afterAll(() => browser?.close())

  async function connectAsAlice(bucket: string): Promise<void> {
    await pageAt(await consent(urlOf(await connect(bucket))))
  }

  /** Begins a sign-in under a name of its own. */
  async function begin(bucket: string): Promise<void> {
    await page.getByRole('button', { name: 'Connect Practice provider' }).click()
    await page.getByLabel('A name for this account').fill(bucket)
    await page.getByRole('button', { name: 'Continue' }).click()
  }

  async function follow(decision: 'Allow' | 'Deny', person?: string): Promise<Page> {
    const opening = page.context().waitForEvent('page')
    await page.getByRole('link', { name: 'Continue to the provider' }).click()
    const tab = await opening
    if (person !== undefined) await tab.getByRole('radio', { name: person }).check()
    await tab.getByRole('button', { name: decision }).click()
    return tab
  }

  it('says that access was denied, and begins anew', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    await begin('page-denied')
    const tab = await follow('Deny')
    await tab.getByRole('heading', { name: 'Practice provider was not connected' }).waitFor()
    const alert = page.getByRole('alert')
    await alert.getByText('access was denied at the provider').waitFor()
    expect(await alert.textContent()).toContain('valetkey connect practice/page-denied')
    await page.getByRole('button', { name: 'Begin again' }).click()
    await page.getByRole('link', { name: 'Continue to the provider' }).waitFor()
    await page.getByRole('button', { name: 'Cancel' }).click()
  }, 60_000)

  it('says that what was pasted belongs to another sign-in, and goes on asking', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    await begin('page-foreign')
    const link = await page.getByRole('link', { name: 'Continue to the provider' }).getAttribute('href')
    const back = new URL(new URL(link ?? '').searchParams.get('redirect_uri') ?? '')
    back.search = '?code=1&state=another'
    await page.getByLabel('Or paste the address').fill(back.href)
    await page.getByRole('button', { name: 'Use this address' }).click()
    const alert = page.getByRole('alert')
    await alert.getByText('The answer does not belong to this sign-in.').waitFor()
    expect(await alert.textContent()).toContain('finish it in the browser that began it')
    await (await follow('Allow')).getByRole('heading', { name: 'Connected to Practice provider' }).waitFor()
    await page.getByText('practice/page-foreign is connected.').first().waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    expect(await until(() => isRefused(back))).toBe(true)
  }, 60_000)

  it('does not put another person in the place of the one who is there, unless that is insisted on', async ({
    skip,
  }) => {
    skip(noChromium !== undefined, noChromium)
    await connectAsAlice('page-other')
    await revokeUpstream()
    await post('/api/accounts/practice%2Fpage-other/refresh')
    await page.reload()
    await page.getByRole('button', { name: 'Reconnect practice/page-other' }).click()
    const tab = await follow('Allow', 'Bob')
    await tab.getByRole('heading', { name: 'Practice provider was not connected' }).waitFor()
    const alert = page.getByRole('alert')
    await alert.getByText('this is another account at practice than the one connected here').waitFor()
    expect(await alert.textContent()).toContain('valetkey reconnect practice/page-other --insist')
    expect(await subjectAt('page-other')).toBe('alice')
    await page.getByRole('button', { name: 'Put another account in its place' }).click()
    await (await follow('Allow', 'Bob')).getByRole('heading', { name: 'Connected to' }).waitFor()
    await page.getByText('practice/page-other is connected.').first().waitFor()
    expect(await subjectAt('page-other')).toBe('bob')
  }, 60_000)

  /** Ends every grant at the provider. */
  async function revokeUpstream(): Promise<void> {
    const session = await connect('where')
    const control = new URL('/practice', urlOf(session).origin)
    await home.ask(`/api/flows/${session.id}`, { method: 'DELETE' })
    const visitor = visitorOf({ origin: control })
    for (const [, grant = ''] of (await pageAt(control)).matchAll(/name="grant" value="([^"]+)"/g))
      await visitor.send(new URL('/practice/revoke', control), { grant })
  }
})
