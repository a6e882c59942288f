import { afterEach, describe, expect, it } from 'vitest'
import { openTestHouse, type TestHouse } from '../../../test/house.ts'
import { PRACTICE } from '../../../test/practice.ts'
import { until } from '../../../test/real.ts'
import { renewingFlow } from '../../../test/renewing.ts'
import type { Flow, RevokedPiece } from '../../model/flow.ts'
import { LANES } from './lanes.ts'

const OTHER = { ...PRACTICE, id: 'other' }
const DIED: readonly RevokedPiece[] = [{ what: 'refresh token', died: true, how: 'ended' }]
const ALONE: readonly RevokedPiece[] = [
  { what: 'refresh token', died: false, how: 'too many', again: { after: 3600 } },
]

let house: TestHouse
let asked: Record<string, number>
afterEach(() => house.close())

/** A house with as many accounts at the first provider, and one at the second. */
async function open(count: number, answer: (provider: string) => Promise<readonly RevokedPiece[]>) {
  asked = {}
  const { flow } = renewingFlow()
  const revoke: Flow['revoke'] = ({ provider: { id } }) => {
    asked[id] = (asked[id] ?? 0) + 1
    return answer(id)
  }
  house = await openTestHouse({ flows: [{ ...flow, revoke }], providers: [PRACTICE, OTHER] })
  for (let n = 0; n < count; n += 1) await house.owner.connect({ provider: 'practice', bucket: `b${n}` })
  await house.owner.connect({ provider: 'other' })
}

describe('what is owed to one server', () => {
  it('[security 7.1] is not asked of it while it wants to be left alone, and is asked after that', async () => {
    let answer = ALONE
    await open(40, async () => answer)
    await house.owner.revokeAll()
    expect(asked['practice']).toBeLessThanOrEqual(LANES)
    const before = asked['practice']
    house.clock.pass({ minutes: 50 })
    await house.tick()
    expect(asked['practice']).toBe(before)
    answer = DIED
    for (let n = 0; n < 60 && (await house.owner.outbox()).length > 0; n += 1) {
      house.clock.pass({ minutes: 1 })
      await house.tick()
    }
    expect(await house.owner.outbox()).toEqual([])
  }, 60_000)

  it('keeps nothing from being told to another one, though it hangs', async () => {
    const goOn = Promise.withResolvers<void>()
    await open(40, async (provider) => {
      if (provider === 'practice') await goOn.promise
      return DIED
    })
    const revoked = house.owner.revokeAll()
    await until(() => asked['other'] === 1)
    expect(asked['practice']).toBeLessThanOrEqual(LANES)
    goOn.resolve()
    expect((await revoked).every(({ lines }) => lines[0]?.state === 'died')).toBe(true)
  }, 60_000)

  it('is told by the schedule over so many lanes and no more', async () => {
    let [underWay, most] = [0, 0]
    let answer = async (_provider: string): Promise<readonly RevokedPiece[]> => [
      { what: 'refresh token', died: false, how: 'trouble', again: {} },
    ]
    await open(20, (provider) => answer(provider))
    await house.owner.revokeAll()
    answer = async (provider) => {
      if (provider === 'other') return DIED
      underWay += 1
      most = Math.max(most, underWay)
      await new Promise((resolve) => setTimeout(resolve, 20))
      underWay -= 1
      return DIED
    }
    for (let n = 0; n < 60 && (await house.owner.outbox()).length > 0; n += 1) {
      house.clock.pass({ seconds: 10 })
      await house.tick()
    }
    expect(await house.owner.outbox()).toEqual([])
    expect(most).toBe(LANES)
  }, 60_000)
})
