import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { faults } from '../../src/testing/faults.ts'
import { openStage, type Stage } from '../faults/broker.ts'
import { until } from '../real.ts'

const REVOCATION = 'POST /token/revocation'
const ADDRESS = 'practice/n0'

let stage: Stage
let token: string

/** Whether the provider still takes the token that was lent. */
async function isAlive(): Promise<boolean> {
  const headers = { authorization: `Bearer ${token}` }
  return (await fetch(new URL('/me', stage.practice.origin), { headers })).status === 200
}

describe('revoking while the provider does not listen', { timeout: 240_000 }, () => {
  beforeAll(async () => {
    stage = await openStage(0)
    await stage.connectMany(1)
    token = (await stage.desk.lend({ address: ADDRESS })).token
    await stage.home.run(['bind', 'app:reports', ADDRESS, '--may', 'lend', '--asks', 'never'])
  }, 120_000)

  afterAll(() => stage.close())

  it('ends all of it here, and says that the provider is still to be told', async () => {
    await stage.practice.proxy.set(faults.answer(503, { 'retry-after': '2' }), REVOCATION)
    const revoked = await stage.home.run(['revoke', ADDRESS, '--yes'])
    expect(revoked.code).toBe(0)
    expect(revoked.stdout).toMatch(/^revoked practice\/n0\n {2}queued: refresh token, .*for up to 7 days\n/)
    expect(revoked.stdout).toContain('  queued: access token, ')
    expect(revoked.stdout).toMatch(
      /still usable: what person:owner has of practice\/n0, and dies by itself in/,
    )
    expect(revoked.stderr).toContain('valetkey revoke --pending')
    expect(await stage.desk.accounts()).toEqual([])
    expect((await stage.home.run(['lend', ADDRESS])).code).toBe(3)
    expect(await isAlive()).toBe(true)
  })

  it('shows what is still to be told, and why it could not be', async () => {
    const { stdout } = await stage.home.run(['revoke', '--pending'])
    expect(stdout).toMatch(/practice\/n0 .*the provider/)
    expect(await stage.desk.outbox()).toMatchObject([{ address: ADDRESS, reason: expect.any(String) }])
  })

  it('[security 7.1] tells it after the broker was killed and started again, and puts that on record', async () => {
    await stage.kill()
    await stage.start()
    await until(async () => ((await stage.desk.outbox())[0]?.tries ?? 0) > 1, 60)
    expect(await isAlive()).toBe(true)
    await stage.practice.proxy.set(undefined)
    await until(async () => (await stage.desk.outbox()).length === 0, 120)
    expect(await isAlive()).toBe(false)
    const [last] = await stage.desk.audit({ verb: 'revoke' })
    expect(last).toMatchObject({ target: ADDRESS, outcome: 'done', detail: '2 of 2 died at the provider' })
    expect((await stage.home.run(['audit', 'verify'])).stdout).toContain('ok')
  })
})
