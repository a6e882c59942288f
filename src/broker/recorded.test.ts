import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import { PRACTICE, tokenFlow } from '../../test/practice.ts'
import { httpDoor } from '../doors/http/door.ts'
import { THE_PERSON } from '../model/caller.ts'
import type { Desk } from '../model/words.ts'
import { canary } from '../testing/canary.ts'

let house: TestHouse
beforeEach(async () => {
  house = await openTestHouse({ flows: [tokenFlow().flow], providers: [PRACTICE] })
})
afterEach(() => house.close())

const last = async () => (await house.owner.audit({ limit: 2 })).find(({ verb }) => verb !== 'read-audit')

/** What was typed in the place of an address, such as a key that was pasted there. */
const NO_ADDRESS = `sk-${canary('pasted')} +/=`

const VERBS: ReadonlyArray<readonly [string, (desk: Desk, address: string) => Promise<unknown>]> = [
  ['lend', (desk, address) => desk.lend({ address })],
  ['reveal', (desk, address) => desk.reveal({ address })],
  ['forward', (desk, address) => desk.forward({ address, method: 'GET', path: '/' })],
  ['refresh', (desk, address) => desk.refresh(address)],
  ['rotate', (desk, address) => desk.rotate(address)],
  ['revoke', (desk, address) => desk.revoke(address)],
  ['connect', (desk, address) => desk.reconnect(address)],
  ['connect', (desk, address) => desk.connect({ provider: address })],
  ['connect', (desk, bucket) => desk.connect({ provider: 'practice', bucket })],
  ['connect', (desk, bucket) => desk.connect({ bucket })],
  ['bind', (desk, address) => desk.bind({ caller: 'app:x', address, may: ['lend'], asks: 'never' })],
]

describe('what is refused before an account was looked for', () => {
  it.each(VERBS)('is on record, without what stood in its place: %s', async (verb, ask) => {
    for (const desk of [house.owner, house.as('app:reports')]) {
      const { code } = await refusal(ask(desk, NO_ADDRESS))
      const entry = await last()
      expect(entry).toMatchObject({ verb, code, outcome: expect.stringMatching(/^(refused|failed)$/) })
      expect(JSON.stringify(entry)).not.toContain('sk-')
    }
  })

  it('is on record where it came to the gateway', async () => {
    const { broker } = house
    const caller = { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'test' } }
    const door = httpDoor({
      version: '0.0.0',
      desk: broker.as,
      keeper: broker.keeper,
      identify: async () => caller,
    })
    const answer = await door.fetch(new Request('http://valetkey/forward/no%20provider/default/x'))
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ code: 'invalid-request', hint: expect.any(String) })
    expect(await last()).toMatchObject({ verb: 'forward', outcome: 'refused', code: 'invalid-request' })
  })

  it('is on record where the binding was changed outside', async () => {
    await house.owner.connect({ provider: 'practice' })
    await house.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never' })
    await house.inFile((file) => file.exec("update sealed set bytes = zeroblob(80) where field = 'terms'"))
    const refused = await refusal(house.as('app:reports').lend({ address: 'practice' }))
    expect(refused).toMatchObject({ code: 'tampered' })
    expect(await last()).toMatchObject({
      verb: 'lend',
      caller: 'app:reports',
      target: 'practice',
      outcome: 'refused',
      code: 'tampered',
    })
  })
})

describe('what only the owner may do', () => {
  it('is on record when a program tries it, also where there is nothing to do', async () => {
    const app = house.keeperFor('app:reports')
    expect(await refusal(app.unlock())).toMatchObject({ code: 'not-allowed' })
    expect(await last()).toMatchObject({ verb: 'unlock', outcome: 'refused', caller: 'app:reports' })
    expect(await refusal(app.acceptRestore())).toMatchObject({ code: 'not-allowed' })
    expect(await last()).toMatchObject({ verb: 'accept-restore', outcome: 'refused' })
  })

  it('is on record as failed where the key cannot be had', async () => {
    expect(await refusal(house.keeper.rekey({ source: 'command' }))).toMatchObject({ code: 'config-invalid' })
    expect(await last()).toMatchObject({ verb: 'rekey', outcome: 'failed', code: 'config-invalid' })
  })
})
