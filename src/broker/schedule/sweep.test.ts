import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, type TestHouse } from '../../../test/house.ts'
import { Secret } from '../../model/secret.ts'
import { canary } from '../../testing/canary.ts'

let house: TestHouse

beforeEach(async () => {
  house = await openTestHouse()
  await house.owner.connect({
    provider: 'openai',
    bucket: 'default',
    fields: { key: new Secret(`sk-${canary('openai')}`) },
    insist: true,
  })
})
afterEach(() => house.close())

const leases = () => house.owner.leases()

describe('what was revealed and never dies by itself', () => {
  it('stays on the list, and not once for every purpose for ever', async () => {
    await house.owner.bind({ caller: 'app:reports', address: 'openai', may: ['reveal'], asks: 'never' })
    const app = house.as('app:reports')
    for (let n = 0; n < 20; n += 1) {
      await app.reveal({ address: 'openai', purpose: `purpose ${n}` })
      house.clock.pass({ minutes: 1 })
    }
    expect(await leases()).toHaveLength(20)
    house.clock.pass({ hours: 8 * 24 })
    await house.tick()
    expect(await leases()).toMatchObject([{ caller: 'app:reports', purpose: 'purpose 19' }])
  })
})
