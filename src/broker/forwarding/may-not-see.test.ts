import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, type TestHouse } from '../../../test/house.ts'
import { PRACTICE, tokenFlow } from '../../../test/practice.ts'
import { type ListeningStandIn, standIn } from '../../testing/stand-in.ts'

const APP = 'app:reports'
const field = { name: 'accessToken', label: 'Access token', secret: true }
const SECRET = { ...PRACTICE, signIns: PRACTICE.signIns.map((way) => ({ ...way, fields: [field] })) }

let provider: ListeningStandIn
let house: TestHouse

beforeEach(async () => {
  provider = await standIn({ '*': ({ headers }) => ({ body: headers }) }).listen()
  house = await openTestHouse({
    flows: [tokenFlow().flow],
    providers: [SECRET],
    origins: { practice: provider.origin },
  })
  await house.owner.connect({ provider: 'practice' })
})
afterEach(async () => {
  await house.close()
  await provider.close()
})

const bind = (more: object) =>
  house.owner.bind({ caller: APP, address: 'practice', may: ['lend', 'forward'], asks: 'never', ...more })

/** Whether the credential stands in what the provider repeats. */
async function isSeen(): Promise<boolean> {
  const { body } = await house.as(APP).forward({ address: 'practice', method: 'GET', path: '/echo' })
  const text = await new Response(body).text()
  const worn = String(provider.requests.at(-1)?.headers['authorization'])
  expect(worn).toMatch(/^Bearer .{6,}/)
  return text.includes(worn.slice('Bearer '.length))
}

describe('[security 20.1] the credential in what a provider repeats', () => {
  it('is seen by whoever may be lent it', async () => {
    await bind({})
    expect(await isSeen()).toBe(true)
  })

  it('is not seen by whoever may make certain requests only, and is lent nothing for that', async () => {
    await bind({ limits: { only: ['GET /echo'] } })
    expect(await isSeen()).toBe(false)
  })

  it('is not seen by whoever was allowed to forward, and would be asked about before it is lent', async () => {
    await bind({ asks: 'always' })
    const { id } = await house.as(APP).ask({ address: 'practice', may: ['forward'], reason: 'to look' })
    await house.owner.decide(id, 'once')
    expect(await isSeen()).toBe(false)
  })
})
