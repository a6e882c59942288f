import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { noChromium, openChromium } from '../chromium.ts'
import { type Agent, agentOverStdio } from '../mcp/agent.ts'
import { firstLine, type RealHome, realHome } from '../real.ts'

// A program's own standing at a server, by four doors; its secret stands on the provider's page.

const FLOW = 'client-credentials'

let home: RealHome
let browser: Browser
let page: Page
let agent: Agent
let secret: string

beforeAll(async () => {
  home = await realHome()
  const link = await firstLine(home.start(['serve', '--for', 'one', '--port', '0']))
  agent = await agentOverStdio(home)
  const cards = (await (await home.ask('/api/providers')).json()) as { id: string; hosts: string[] }[]
  const host = cards.find(({ id }) => id === 'practice')?.hosts[0]
  const shown = await (await fetch(`http://${host}/practice`)).text()
  secret = /Client secret<\/dt><dd><code>([^<]+)/.exec(shown)?.[1] ?? ''
  if (noChromium !== undefined) return
  browser = await openChromium()
  page = await (await browser.newContext()).newPage()
  page.setDefaultTimeout(15_000)
  await page.goto(link)
}, 120_000)

afterAll(async () => {
  await agent?.close()
  await browser?.close()
  await home?.close()
})

describe('a client that is its own credential', () => {
  it('is connected by the command, which says why when its secret is wrong', async () => {
    const words = ['connect', 'practice/command', '--flow', FLOW, '--field', 'clientId=practice-program']
    const refused = await home.run([...words, '--key-stdin'], 'wrong')
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('! invalid-credentials: ') })
    const connected = await home.run([...words, '--key-stdin'], secret)
    expect(connected).toMatchObject({ code: 0, stdout: 'connected practice/command as practice-program\n' })
  }, 30_000)

  it('is connected on the page', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    await page.getByRole('button', { name: 'Connect Practice provider' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('How to sign in').selectOption(FLOW)
    await dialog.getByRole('button', { name: 'Continue' }).click()
    await dialog.getByLabel('Client id').fill('practice-program')
    await dialog.getByLabel('Client secret').fill(secret)
    await dialog.getByRole('button', { name: 'Continue' }).click()
    await page.getByText('practice is connected.').first().waitFor()
  }, 30_000)

  it('is connected by a program at the socket', async () => {
    const begun = await home.ask('/api/providers/practice/connect', {
      method: 'POST',
      body: JSON.stringify({ flow: FLOW, bucket: 'socket' }),
    })
    const session = (await begun.json()) as { id: string; step: { fields: { name: string }[] } }
    expect(session.step.fields.map(({ name }) => name)).toEqual(['clientId', 'clientSecret'])
    const fields = { clientId: 'practice-program', clientSecret: secret }
    const answered = await home.ask(`/api/flows/${session.id}/answer`, {
      method: 'POST',
      body: JSON.stringify({ fields }),
    })
    expect(await answered.json()).toMatchObject({ state: 'done', account: { bucket: 'socket' } })
  })

  it('is left to the person by an agent, whom its secret never meets', async () => {
    const { answer } = await agent.call('connect', { account: 'practice/agent', flow: FLOW })
    expect(answer).toMatchObject({
      state: 'left-to-the-person',
      command: `valetkey connect practice/agent --flow ${FLOW}`,
    })
    const words = [...String(answer.command).split(' ').slice(1), '--field', 'clientId=practice-program']
    expect(await home.run([...words, '--key-stdin'], secret)).toMatchObject({ code: 0 })
    expect(agent.seen()).not.toContain(secret)
  }, 30_000)

  it('lends tokens that die, and no secret', async () => {
    const { code, stdout } = await home.run(['lend', 'practice/socket', '--json'])
    const lent = JSON.parse(stdout) as { expiresAt: string | null; tokenType: string }
    expect([code, lent.tokenType]).toEqual([0, 'Bearer'])
    expect(Date.parse(String(lent.expiresAt))).toBeGreaterThan(Date.now())
    expect(stdout).not.toContain(secret)
  }, 30_000)
})
