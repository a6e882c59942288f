import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { noChromium, openChromium } from '../chromium.ts'
import { type NotesServer, openNotesServer } from '../mcp/server.ts'
import { firstLine, type RealHome, realHome } from '../real.ts'

let server: NotesServer
let home: RealHome
let browser: Browser
let link: string

beforeAll(async () => {
  if (noChromium) return
  server = await openNotesServer()
  home = await realHome({ allow: [server.url.host, server.authorization.origin.host] })
  link = await firstLine(home.start(['serve', '--port', '0']))
  browser = await openChromium()
}, 120_000)

afterAll(async () => {
  await browser?.close()
  await home?.close()
  await server?.close()
})

beforeEach(({ skip }) => skip(noChromium !== undefined, noChromium))

describe('the page', () => {
  it('connects an MCP server by its address', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    page.setDefaultTimeout(20_000)
    await page.goto(link)
    await page.getByLabel('Find a provider').fill(server.url.href)
    await page.getByRole('button', { name: `Connect ${server.url.host}` }).click()
    const away = context.waitForEvent('page')
    await page.getByRole('dialog').getByRole('link').first().click()
    const there = await away
    await there.getByText(`Connected to ${server.url.host}`).waitFor()
    await page.getByText('local-mcp is connected').first().waitFor()
    const { stdout } = await home.run(['accounts', '--json'])
    expect(JSON.parse(stdout)).toMatchObject([{ providerId: 'local-mcp', status: 'connected' }])
    await context.close()
  }, 60_000)
})
