import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, type TestHouse } from '../../test/house.ts'
import { PRACTICE, tokenFlow } from '../../test/practice.ts'
import type { Desk, ValetkeyEvent } from '../model/words.ts'

let house: TestHouse

beforeEach(async () => {
  house = await openTestHouse({ flows: [tokenFlow().flow], providers: [PRACTICE] })
})

afterEach(() => house.close())

/** Listens from now on; `stop` resolves with all that was heard. */
function listen(desk: Desk, after?: string) {
  const ending = new AbortController()
  const heard: ValetkeyEvent[] = []
  const over = (async () => {
    const query = { signal: ending.signal, ...(after !== undefined && { after }) }
    for await (const event of desk.events(query)) heard.push(event)
  })()
  const stop = async () => {
    await new Promise((resolve) => setTimeout(resolve, 100))
    ending.abort()
    await over
    return heard.map((told) => `${told.name} ${'account' in told ? told.account.bucket : told.ask.address}`)
  }
  return { heard, stop }
}

const connect = (bucket: string) => house.owner.connect({ provider: 'practice', bucket })
const bind = (address: string, more = {}) =>
  house.owner.bind({ caller: 'app:reports', address, may: ['lend'], asks: 'never', ...more })

describe('what happens to accounts', () => {
  it('is told as it happens', async () => {
    await connect('before')
    const listener = listen(house.owner)
    await connect('work')
    await house.owner.revoke('practice/work')
    expect(await listener.stop()).toEqual(['connected work', 'revoked work'])
    const [connected, revoked] = listener.heard
    expect(connected).toMatchObject({ at: house.clock.now(), account: { status: 'connected' } })
    expect(revoked).toMatchObject({ account: { status: 'revoked', subject: null } })
  })

  it('is told to whoever comes back, from the last that was heard', async () => {
    const first = listen(house.owner)
    await connect('a')
    await first.stop()
    await connect('b')
    await connect('c')
    expect(await listen(house.owner, first.heard[0]?.id).stop()).toEqual(['connected b', 'connected c'])
    expect(await listen(house.owner).stop()).toEqual([])
  })

  it('is told to whoever heard an earlier broker, from the moment on that they name', async () => {
    const first = listen(house.owner)
    await connect('a')
    await first.stop()
    await house.meanwhile(() => house.clock.pass({ seconds: 1 }))
    await connect('b')
    const moment = `${house.clock.now().getTime()}-0`
    expect(await listen(house.owner, first.heard[0]?.id).stop()).toEqual(['connected b'])
    expect(await listen(house.owner, moment).stop()).toEqual(['connected b'])
    expect(await listen(house.owner, 'nonsense').stop()).toEqual(['connected b'])
    house.clock.pass({ seconds: 1 })
    expect(await listen(house.owner, `${house.clock.now().getTime()}-0`).stop()).toEqual([])
  })

  it('keeps its order when the clock is set back', async () => {
    const listener = listen(house.owner)
    await connect('a')
    house.clock.pass({ hours: -1 })
    await connect('b')
    await listener.stop()
    expect(await listen(house.owner, listener.heard[0]?.id).stop()).toEqual(['connected b'])
  })

  it('is no business of a caller who may not know of the account', async () => {
    await connect('known')
    await bind('practice/known')
    const [app, stranger] = [listen(house.as('app:reports')), listen(house.as('app:stranger'))]
    await connect('unknown')
    await house.owner.reconnect('practice/known')
    await house.owner.revoke('practice/known')
    await house.owner.revoke('practice/unknown')
    expect(await app.stop()).toEqual(['revoked known'])
    expect(await stranger.stop()).toEqual([])
    expect(await listen(house.as('app:stranger'), '0-0').stop()).toEqual([])
  })

  it('is no business of a caller whose binding is over', async () => {
    await connect('known')
    await bind('practice/known', { until: new Date(house.clock.now().getTime() + 1000) })
    house.clock.pass({ seconds: 1 })
    const app = listen(house.as('app:reports'))
    await house.owner.reconnect('practice/known')
    expect(await app.stop()).toEqual([])
  })

  it.each(['unbind', 'revokeCaller'] as const)('is not told again to a caller after %s', async (ending) => {
    await connect('known')
    const { id } = await bind('practice/known')
    await house.inFile((file) => file.exec("update accounts set status = 'needs-reauth'"))
    await house.owner.reconnect('practice/known')
    expect(await listen(house.as('app:reports'), '0-0').stop()).toEqual(['connected known'])
    if (ending === 'unbind') await house.owner.unbind(id)
    else await house.owner.revokeCaller('app:reports')
    expect(await listen(house.as('app:reports'), '0-0').stop()).toEqual([])
    expect(await listen(house.owner, '0-0').stop()).toContain('connected known')
  })

  it('is told to a caller who comes back after the account was revoked, as far as that', async () => {
    await connect('known')
    await bind('practice/known')
    await house.owner.revoke('practice/known')
    expect(await listen(house.as('app:reports'), '0-0').stop()).toEqual(['revoked known'])
  })
})
