import type { ChildProcess } from 'node:child_process'
import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Counts } from '../../src/practice/counts.ts'
import { visitorOf } from '../../src/practice/visitor.ts'
import { type FramedClient, framedClient } from '../../src/testing/framed-client.ts'
import { wherePaths } from '../../src/where.ts'
import { scan } from '../camera.ts'
import { noChromium, openChromium } from '../chromium.ts'
import { type Agent, agentOverStdio } from '../mcp/agent.ts'
import { ended, firstLine, type RealHome, realHome, until } from '../real.ts'

// Four doors, one flow, one server that counts how often it is asked.

interface Begun {
  readonly code: string
  readonly at: string
}

let home: RealHome
let browser: Browser
let page: Page
let socket: FramedClient
let agent: Agent
let origin: URL
const begun = new Map<string, Begun>()

beforeAll(async () => {
  home = await realHome()
  const link = await firstLine(home.start(['serve', '--for', 'one', '--port', '0']))
  socket = await framedClient(wherePaths(home).socket)
  agent = await agentOverStdio(home)
  if (noChromium !== undefined) return
  browser = await openChromium()
  page = await (await browser.newContext()).newPage()
  page.setDefaultTimeout(15_000)
  await page.goto(link)
}, 120_000)

afterAll(async () => {
  socket?.close()
  await agent?.close()
  await browser?.close()
  await home?.close()
})

async function counts(): Promise<Counts> {
  return (await (await fetch(new URL('/practice/counts', origin))).json()) as Counts
}

async function accounts(): Promise<readonly { bucket: string; status: string; subject: string }[]> {
  return JSON.parse((await home.run(['accounts', '--json'])).stdout)
}

/** All that a command says, while it still runs. */
function saying(child: ChildProcess): () => string {
  let said = ''
  child.stderr?.on('data', (chunk) => {
    said += chunk
  })
  return () => said
}

/** The part of a picture in a browser that is used here. */
interface Picture {
  readonly naturalWidth: number
  readonly naturalHeight: number
  readonly ownerDocument: { createElement(tag: 'canvas'): Canvas }
  decode(): Promise<void>
}

interface Canvas {
  width: number
  height: number
  getContext(kind: '2d'): {
    drawImage(picture: Picture, x: number, y: number): void
    getImageData(x: number, y: number, width: number, height: number): { readonly data: Iterable<number> }
  }
}

/** What a camera reads off the page. */
async function scanned(picture: Locator): Promise<string | undefined> {
  const [width = 0, height = 0, ...pixels] = await picture.evaluate(async (found: unknown) => {
    const image = found as Picture
    await image.decode()
    const canvas = image.ownerDocument.createElement('canvas')
    const [width, height] = [image.naturalWidth, image.naturalHeight]
    canvas.width = width
    canvas.height = height
    const drawn = canvas.getContext('2d')
    drawn.drawImage(image, 0, 0)
    return [width, height, ...drawn.getImageData(0, 0, width, height).data]
  })
  return scan(new Uint8ClampedArray(pixels), width, height)
}

describe('a code that is entered elsewhere', () => {
  let command: ChildProcess
  let elsewhere: ChildProcess
  let session: unknown
  let told: Readonly<Record<string, unknown>>

  it('is shown by the command', async () => {
    command = home.start(['connect', 'practice/command', '--flow', 'device-code'])
    const said = saying(command)
    await until(() => said().includes('https://') || said().includes('http://'))
    const [, at = ''] = /(http\S+\/device)\b/.exec(said()) ?? []
    const [, code = ''] = /\b([A-Z]{4}-[A-Z]{4})\b/.exec(said()) ?? []
    origin = new URL(new URL(at).origin)
    expect(said()).toMatch(/Valetkey on \S+/)
    begun.set('command', { code, at })
  }, 30_000)

  it('is shown by the page', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    await page.getByRole('button', { name: 'Connect Practice provider' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('How to sign in').selectOption('device-code')
    await dialog.getByRole('button', { name: 'Continue' }).click()
    const code = (await dialog.locator('.code').textContent()) ?? ''
    expect(await dialog.textContent()).toMatch(/Valetkey on \S+/)
    const picture = dialog.getByAltText(`QR code of ${begun.get('command')?.at}`)
    expect(await scanned(picture)).toBe(`${begun.get('command')?.at}?user_code=${code}`)
    begun.set('default', { code, at: '' })
  }, 30_000)

  it('is told to a client of the framed socket', async () => {
    const { data = {} } = await socket.ask('oauth_initiate', {
      provider: 'practice',
      bucket: 'socket',
      flow: 'device-code',
    })
    expect(data).toMatchObject({ flow_type: 'device_code', pollIntervalMs: 2000 })
    expect(Object.keys(data)).not.toContain('device_code')
    session = data['session_id']
    begun.set('socket', { code: String(data['user_code']), at: String(data['verification_uri']) })
  })

  it('is told to an agent', async () => {
    const { answer } = await agent.call('connect', { account: 'practice/agent', flow: 'device-code' })
    expect(answer).toMatchObject({ state: 'asking', code: expect.stringMatching(/^[A-Z]{4}-[A-Z]{4}$/) })
    expect(answer).toMatchObject({ device: expect.stringMatching(/^Valetkey on \S/) })
    told = answer
    begun.set('agent', { code: answer.code, at: answer.open })
  })

  it('is under way for all doors, wherever it was begun', async () => {
    const { stdout } = await home.run(['flows', '--json'])
    const found = JSON.parse(stdout) as { bucket: string; step: { code: string } }[]
    expect(found.map(({ bucket, step }) => [bucket, step.code]).toSorted()).toEqual(
      [...begun].map(([bucket, { code }]) => [bucket, code]).toSorted(),
    )
    elsewhere = home.start(['flows', 'practice/socket'])
    const said = saying(elsewhere)
    await until(() => said().includes(String(begun.get('socket')?.code)))
  }, 30_000)

  it('is gone on with on the page, and goes on when it is left there', async ({ skip }) => {
    skip(noChromium !== undefined, noChromium)
    const tab = await page.context().newPage()
    await tab.goto(new URL('/', page.url()).href)
    await tab.getByRole('heading', { name: 'Sign-ins under way' }).waitFor()
    await tab.getByRole('button', { name: 'Go on with practice/agent' }).click()
    expect(await tab.locator('.code').textContent()).toBe(begun.get('agent')?.code)
    await tab.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
    await tab.close()
    expect(JSON.parse((await home.run(['flows', '--json'])).stdout)).toHaveLength(begun.size)
  }, 30_000)

  it('is asked after by the broker alone, not sooner than the server wishes', async () => {
    await visitorOf({ origin }).send(new URL('/practice/slower', origin), {})
    await until(async () => (await counts()).slowed === begun.size)
    // However often a door looks, nobody is asked for that.
    for (let n = 0; n < 30; n += 1) await socket.ask('oauth_poll', { session_id: session })
    const { data } = await socket.ask('oauth_poll', { session_id: session })
    expect(data).toMatchObject({ status: 'pending', pollIntervalMs: 7000 })
    expect(await counts()).toMatchObject({ devices: begun.size, hurried: 0, belated: 0 })
  }, 30_000)

  it('connects at each door once it was entered, and is asked after no more', async () => {
    const before = await counts()
    await Promise.all([...begun.values()].map(({ code }) => visitorOf({ origin }).enter(code)))
    expect([await ended(command), await ended(elsewhere)]).toEqual([0, 0])
    const done = await until(async () => {
      const { data = {} } = await socket.ask('oauth_poll', { session_id: session })
      return data['status'] === 'pending' ? undefined : data
    })
    expect(done).toMatchObject({ status: 'complete', token: { token_type: 'Bearer' } })
    expect(await agent.call('status', { session: told['session'], wait: 20 })).toMatchObject({
      answer: { state: 'done' },
    })
    if (noChromium === undefined) await page.getByText('practice is connected.').first().waitFor()
    const all = await accounts()
    expect(all.map(({ bucket, status, subject }) => [bucket, status, subject]).toSorted()).toEqual(
      [...begun.keys()].map((bucket) => [bucket, 'connected', 'alice']).toSorted(),
    )
    const after = await counts()
    expect(after).toMatchObject({ hurried: 0, belated: 0, tokens: begun.size })
    // One more question of each was enough.
    expect(after.polls - before.polls).toBe(begun.size)
  }, 60_000)
})
