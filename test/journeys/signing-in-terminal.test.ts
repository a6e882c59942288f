import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Answers, visitorOf } from '../../src/practice/visitor.ts'
import { openServer, type PostgresServer } from '../postgres.ts'
import { firstLine, type RealHome, realHome, until } from '../real.ts'
import { noTerminal, type Typed, typeCommand } from '../terminal.ts'

interface AccountShown {
  readonly id: string
  readonly status: string
  readonly reason: string | null
}

let postgres: PostgresServer

beforeAll(async () => {
  postgres = await openServer()
}, 120_000)

afterAll(() => postgres?.close())

describe.each(['sqlite', 'postgres'])('signing in at the terminal alone, the vault on %s', (engine) => {
  let home: RealHome
  let origin: URL
  let before: AccountShown

  beforeAll(async () => {
    const more = engine === 'postgres' ? { DATABASE_URL: await postgres.newVault() } : {}
    home = await realHome({}, more)
    await firstLine(home.start(['serve', '--for', 'one', '--port', '0']))
  }, 60_000)

  afterAll(() => home?.close())

  async function account(): Promise<AccountShown> {
    const [found] = JSON.parse((await home.run(['accounts', '--json'])).stdout) as AccountShown[]
    if (found === undefined) throw new Error('nothing is connected')
    return found
  }

  /** The person follows the printed link in a browser somewhere, consents, and the command ends by itself. */
  async function consent(typed: Typed, answers: Answers): Promise<void> {
    const link = new URL(await until(() => /^sign in at (\S+)$/m.exec(typed.said())?.[1]))
    origin = new URL(link.origin)
    const back = await visitorOf({ origin }).consent(link, answers)
    expect(await (await fetch(back)).text()).toContain('Connected to Practice provider')
    expect(await typed.code()).toBe(0)
  }

  /** What stands on the standard output, which is the token and nothing else. */
  async function lend(): Promise<string> {
    const { code, stdout } = await home.run(['lend', 'practice'])
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^\S+\n$/)])
    return stdout.trim()
  }

  async function userinfo(token: string): Promise<number> {
    return (await fetch(new URL('/me', origin), { headers: { authorization: `Bearer ${token}` } })).status
  }

  /** At the provider's own page, as a person would who wants nothing to do with us any more. */
  async function revokeUpstream(): Promise<void> {
    const control = new URL('/practice', origin)
    const page = await (await fetch(control)).text()
    const [, grant = ''] = /name="grant" value="([^"]+)"/.exec(page) ?? []
    await visitorOf({ origin }).send(new URL('/practice/revoke', control), { grant })
  }

  it('connects with consent', async ({ skip }) => {
    skip(noTerminal !== undefined, noTerminal)
    const typed = typeCommand(home, ['connect', 'practice', '--flow', 'authorization-code'])
    await consent(typed, { seconds: 5 })
    expect(typed.said()).toMatch(/^connected practice as Alice$/m)
    before = await account()
    expect(before).toMatchObject({ status: 'connected' })
  }, 60_000)

  it('prints a token that the provider accepts, and another one when that has died', async ({ skip }) => {
    skip(noTerminal !== undefined, noTerminal)
    await home.run(['bind', 'app:reports', 'practice', '--may', 'lend', '--asks', 'never'])
    // It lives for five seconds, and a slow machine may take them all over one: then the next is tried.
    const accepted = () =>
      until(async () => {
        const token = await lend()
        return (await userinfo(token)) === 200 ? token : undefined
      })
    const first = await accepted()
    await until(async () => (await userinfo(first)) === 401)
    expect(await accepted()).not.toBe(first)
    expect(await account()).toMatchObject({ id: before.id, status: 'connected' })
  }, 120_000)

  it('says why, with exit code 3, when the grant was revoked at the provider', async ({ skip }) => {
    skip(noTerminal !== undefined, noTerminal)
    await revokeUpstream()
    const refused = await until(async () => {
      const tried = await home.run(['lend', 'practice'])
      return tried.code === 0 ? undefined : tried
    })
    expect(refused.code).toBe(3)
    expect(refused.stdout).toBe('')
    expect(refused.stderr).toMatch(/^! needs-reauth: .*\n {2}hint: valetkey reconnect practice/)
    const { status, reason } = await account()
    expect(status).toBe('needs-reauth')
    expect(refused.stderr).toContain(String(reason))
  }, 120_000)

  it('is reconnected in place: id, bindings and history stay', async ({ skip }) => {
    skip(noTerminal !== undefined, noTerminal)
    const history = async () => JSON.parse((await home.run(['audit', '--json'])).stdout) as { seq: number }[]
    const known = await history()
    const typed = typeCommand(home, ['reconnect', 'practice'])
    await consent(typed, { seconds: 3600 })
    expect(typed.said()).toMatch(/^reconnected practice as Alice$/m)
    expect(await account()).toMatchObject({ id: before.id, status: 'connected', reason: null })
    expect(await userinfo(await lend())).toBe(200)
    expect((await home.run(['bindings'])).stdout).toContain('app:reports')
    const now = await history()
    expect(now).toEqual(expect.arrayContaining(known))
    expect(now.length).toBeGreaterThan(known.length)
    expect((await home.run(['audit', 'verify'])).stdout).toContain('ok')
  }, 120_000)
})
