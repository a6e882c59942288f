import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ErrorCode, ValetkeyError } from '#client'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { PRACTICE } from '../../../test/practice.ts'
import { renewingFlow, type Upstream } from '../../../test/renewing.ts'

const WITH_CLIENT = { ...PRACTICE, oauth: { issuer: 'https://login.practice.test' }, registration: 'yours' }
const WHY = 'the provider does not accept this client'

let house: TestHouse
let upstream: Upstream

beforeEach(async () => {
  const made = renewingFlow()
  upstream = made.upstream
  house = await openTestHouse({ flows: [made.flow], providers: [WITH_CLIENT] })
  await house.owner.register({ provider: 'practice', clientId: 'mine', insist: true })
  for (const bucket of ['default', 'other']) await house.owner.connect({ provider: 'practice', bucket })
})
afterEach(() => house.close())

const standing = async () =>
  (await house.owner.accounts()).map(({ status, reason }) => `${status}: ${reason}`)
const marks = async () => (await house.owner.registrations()).map(({ trouble }) => trouble)
const lend = (address: string) => house.owner.lend({ address })

/** What is told of while that is done. */
async function told(work: () => Promise<unknown>): Promise<readonly string[]> {
  const all: string[] = []
  const stop = new AbortController()
  const listening = (async () => {
    for await (const told of house.owner.events({ signal: stop.signal }))
      if ('account' in told) all.push(`${told.name} ${told.account.bucket}`)
  })()
  await wait(20)
  await work()
  await wait(100)
  stop.abort()
  await listening
  return all.toSorted()
}

async function refuse(code: ErrorCode, message: string): Promise<void> {
  house.clock.pass({ hours: 2 })
  upstream.meanwhile = () => Promise.reject(new ValetkeyError(code, message))
  await refusal(lend('practice'))
  upstream.meanwhile = async () => {}
}

describe('[security 2.3] a provider that does not accept our client', () => {
  beforeEach(() => refuse('provider-not-configured', WHY))

  it('marks the registration and all of its accounts, and ends none of them', async () => {
    expect(await standing()).toEqual([`failing: ${WHY}`, `failing: ${WHY}`])
    expect(await marks()).toEqual([WHY])
  })

  it('is told of every account of that client, when it begins and when it is over', async () => {
    expect(await told(() => house.owner.refresh('practice/other'))).toEqual(['connected other'])
    // The one that is refused had its trouble all the time.
    expect(await told(() => refuse('provider-not-configured', WHY))).toEqual(['failing other'])
  })

  it('is asked again by hand at any time, which takes the mark away where it accepts it', async () => {
    await house.owner.refresh('practice/other')
    expect(await marks()).toEqual([null])
    expect(await standing()).toContain('connected: null')
  })

  it('is asked anew once the client was registered anew', async () => {
    const { asked } = upstream
    await house.owner.register({ provider: 'practice', clientId: 'mine', insist: true })
    expect(await marks()).toEqual([null])
    expect(await standing()).toContain('connected: null')
    await house.tick()
    expect(upstream.asked).toBeGreaterThan(asked)
  })
})

describe('the rules of a provider that stand against a renewal', () => {
  it('end nothing and mark no client, and are not asked about over and over', async () => {
    await refuse('refused-by-policy', 'the provider wants a person')
    expect(await standing()).toEqual(['failing: the provider wants a person', 'connected: null'])
    expect(await marks()).toEqual([null])
    const { asked } = upstream
    house.clock.pass({ minutes: 30 })
    expect(await refusal(lend('practice'))).toMatchObject({ code: 'refused-by-policy' })
    expect(upstream.asked).toBe(asked)
  })
})

describe('an account that was signed in to by another client than the one that is registered now', () => {
  it('is not shown to the provider, which would end it for that', async () => {
    await house.owner.register({ provider: 'practice', clientId: 'another', insist: true })
    house.clock.pass({ hours: 1 })
    const refused = {
      code: 'provider-not-configured',
      message:
        'practice/other was signed in to by another client of ours than the one that is registered now',
      hint: 'valetkey reconnect practice/other',
    }
    expect(await refusal(lend('practice/other'))).toEqual(refused)
    expect(await refusal(house.owner.refresh('practice/other'))).toEqual(refused)
    expect(upstream.asked).toBe(0)
    await house.owner.register({ provider: 'practice', clientId: 'mine', insist: true })
    expect(await lend('practice/other')).toMatchObject({ tokenType: 'Bearer' })
  })
})
