import { copyFile, mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canary } from '../../src/testing/canary.ts'
import { standIn } from '../../src/testing/stand-in.ts'
import { firstLine, type RealHome, realHome } from '../real.ts'

const key = `sk-proj-${canary('openai')}`

describe('one key at the terminal', () => {
  let provider: Awaited<ReturnType<ReturnType<typeof standIn>['listen']>>
  let home: RealHome
  let link: URL
  let cookie: string

  beforeAll(async () => {
    const models = (request: { headers: Readonly<Record<string, unknown>> }) =>
      request.headers['authorization'] === `Bearer ${key}`
        ? { body: '{"data":[{"id":"a-model"}]}', headers: { 'content-type': 'application/json' } }
        : { status: 401, body: '{}' }
    provider = await standIn({ 'GET /v1/models': models }).listen()
    home = await realHome({ origins: { openai: provider.origin } })
  })

  afterAll(async () => {
    await home.close()
    await provider.close()
  })

  it('prints a link that opens a page', async () => {
    link = new URL(await firstLine(home.start(['serve', '--for', 'one', '--port', '0'])))
    expect(link.hostname).toBe('127.0.0.1')
    const page = await fetch(new URL('/', link))
    expect(page.status).toBe(200)
    expect(page.headers.get('content-type')).toContain('text/html')
    expect(await page.text()).toContain('<title>')
  })

  it('trades the code of the link for a cookie, once', async () => {
    const enter = () =>
      fetch(new URL('/api/session', link), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ code: link.hash.replace('#code=', '') }),
      })
    const entered = await enter()
    cookie = entered.headers.get('set-cookie')?.split(';')[0] ?? ''
    expect(entered.status).toBe(204)
    expect((await enter()).status).toBe(401)
    expect((await fetch(new URL('/api/accounts', link))).status).toBe(401)
  })

  it('takes a key from stdin, checks it live and seals it', async () => {
    const refused = await home.run(['connect', 'openai', '--key-stdin'], `sk-proj-${canary('wrong')}\n`)
    expect(refused.code).not.toBe(0)
    const connected = await home.run(['connect', 'openai', '--key-stdin'], `${key}\n`)
    expect(connected.stderr + connected.stdout).toContain('openai')
    expect(connected.code).toBe(0)
    const shown = await fetch(new URL('/api/accounts', link), { headers: { cookie } })
    expect(await shown.json()).toMatchObject([
      { providerId: 'openai', status: 'connected', forwardOnly: true },
    ])
  })

  it('forwards a request with it', async () => {
    const answer = await home.run(['forward', 'openai', 'GET', '/v1/models'])
    expect(answer).toMatchObject({ code: 0, stdout: '{"data":[{"id":"a-model"}]}' })
  })

  it('does not lend it, and says why', async () => {
    const refused = await home.run(['lend', 'openai'])
    expect(refused.code).toBe(4)
    expect(refused.stdout).toBe('')
    expect(refused.stderr).toMatch(/^! forward-only: .*\n {2}hint: valetkey forward openai /)
  })

  it('verifies the record of all this', async () => {
    const verified = await home.run(['audit', 'verify'])
    expect(verified).toMatchObject({ code: 0 })
    expect(verified.stdout).toContain('ok')
  })

  it('[security 19.1] keeps nothing readable: a copy of the database opens nothing', async () => {
    for (const file of await readdir(join(home.home, 'data'))) {
      const bytes = await readFile(join(home.home, 'data', file))
      expect(bytes.includes(key)).toBe(false)
    }
    const thief = await realHome()
    await mkdir(join(thief.home, 'data'), { mode: 0o700 })
    for (const file of await readdir(join(home.home, 'data'))) {
      await copyFile(join(home.home, 'data', file), join(thief.home, 'data', file))
    }
    const tried = await thief.run(['accounts'])
    await thief.close()
    expect(tried.code).not.toBe(0)
    expect(tried.stderr).toMatch(/wrong-key|locked/)
  })
})
