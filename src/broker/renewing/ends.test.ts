import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { refusal, type TestHouse } from '../../../test/house.ts'
import { renewingHouse, type Upstream } from '../../../test/renewing.ts'

let house: TestHouse
let upstream: Upstream

beforeEach(async () => {
  ;({ house, upstream } = await renewingHouse())
  house.clock.pass({ hours: 1 })
})
afterEach(() => house.close())

const lend = async () => (await house.owner.lend({ address: 'practice' })).token.reveal()
const standing = async () => (await house.owner.accounts()).map(({ status, reason }) => ({ status, reason }))

/** A renewal that the provider takes its time to answer. */
async function slowly(): Promise<void> {
  const there = Promise.withResolvers<void>()
  upstream.meanwhile = async () => {
    upstream.meanwhile = async () => {}
    there.resolve()
    await wait(200)
  }
  void lend().catch(() => undefined)
  await there.promise
}

describe('an answer that is under way', () => {
  it('is waited for by the end of the house, and kept', async () => {
    await slowly()
    await house.meanwhile(() => {})
    expect(await standing()).toEqual([{ status: 'connected', reason: null }])
    expect(await lend()).toBe(upstream.token)
  })

  it('is waited for by a lock, and kept', async () => {
    await slowly()
    await house.keeper.lock()
    expect(await refusal(lend())).toMatchObject({ code: 'locked' })
    await house.keeper.unlock()
    expect(await standing()).toEqual([{ status: 'connected', reason: null }])
    expect(await lend()).toBe(upstream.token)
  })

  it('leaves alone what the owner wishes meanwhile', async () => {
    await slowly()
    const { rotateAt } = await house.owner.rotateEvery('practice', 30)
    expect(rotateAt).not.toBeNull()
    await wait(400)
    expect((await house.owner.accounts())[0]?.rotateAt).not.toBeNull()
  })
})

describe('a clock that was a year ahead for a moment', () => {
  const YEAR = 365 * 24

  it('leaves no account waiting for a year', async () => {
    house.clock.jump({ hours: YEAR })
    const { kept } = upstream
    upstream.meanwhile = () => Promise.reject(new ValetkeyError('server-error', 'down'))
    expect(await refusal(lend())).toMatchObject({ code: 'server-error' })
    upstream.meanwhile = async () => {}
    upstream.kept = kept
    house.clock.jump({ hours: -YEAR })
    expect(await lend()).toBe(upstream.token)
  })
})
