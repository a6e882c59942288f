import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Usage } from '#client'
import { canary } from '../../src/testing/canary.ts'
import { type ListeningStandIn, standIn } from '../../src/testing/stand-in.ts'
import { report, size } from '../figures.ts'
import { kill, type RealHome, realHome } from '../real.ts'

const KILLS = size(3, 50)
const AT_ONCE = 40

let provider: ListeningStandIn
let home: RealHome

beforeEach(async () => {
  provider = await standIn({ '*': { body: { data: [] } } }).listen()
  home = await realHome({ origins: { openai: provider.origin } })
  const { code, stderr } = await home.run(
    ['connect', 'openai', '--key-stdin'],
    `sk-proj-${canary('counted')}`,
  )
  expect([code, stderr]).toEqual([0, ''])
})

afterEach(async () => {
  await home.close()
  await provider.close()
})

/** As many as were answered before the broker was killed in the midst of them. */
async function answeredUntilKilled(): Promise<number> {
  const pid = await home.holder()
  let answered = 0
  const all = Array.from({ length: AT_ONCE }, async () => {
    const { ok } = await home.ask('/forward/openai/default/v1/models')
    if (ok) answered += 1
    if (answered === AT_ONCE / 2 && pid !== undefined) await kill(pid)
  })
  await Promise.allSettled(all)
  return answered
}

async function counted(): Promise<number> {
  const { stdout } = await home.run(['usage', '--json'])
  const usage = JSON.parse(stdout) as Usage[]
  return usage.reduce((sum, { forwards }) => sum + forwards, 0)
}

describe('a broker that is killed', { timeout: size(120_000, 1_200_000) }, () => {
  it('has counted all that it had answered, and nothing that it was not asked', async () => {
    let lost = 0
    for (let n = 0; n < KILLS; n += 1) {
      const before = await counted()
      const answered = await answeredUntilKilled()
      const since = (await counted()) - before
      expect(answered).toBeGreaterThan(0)
      expect(since).toBeLessThanOrEqual(AT_ONCE)
      lost += Math.max(0, answered - since)
    }
    report('uses answered and not counted after SIGKILL', lost, KILLS * AT_ONCE, 'kill -9')
    expect(lost).toBe(0)
  })
})
