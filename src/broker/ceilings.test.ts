import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import type { Desk } from '../model/words.ts'

let house: TestHouse
beforeEach(async () => {
  house = await openTestHouse()
})
afterEach(() => house.close())

describe('sign-ins under way', () => {
  const begin = (n: number) => house.owner.connect({ provider: 'openai', bucket: `b${n}` })

  it('are so many at once and no more, until one of them is over', async () => {
    const begun = []
    for (let n = 0; n < 32; n += 1) begun.push(await begin(n))
    house.clock.pass({ seconds: 90 })
    await expect(begin(32)).rejects.toMatchObject({
      code: 'resource-exhausted',
      hint: expect.stringContaining('cancel'),
      retryAfter: 510,
    })
    expect((await house.owner.audit({ verb: 'connect', limit: 1 }))[0]).toMatchObject({
      outcome: 'failed',
      code: 'resource-exhausted',
    })
    await house.owner.cancel(begun[0]?.id ?? '')
    expect(await begin(33)).toMatchObject({ state: 'asking' })
    expect(await refusal(begin(34))).toMatchObject({ code: 'resource-exhausted' })
    house.clock.pass({ minutes: 10 })
    expect(await begin(35)).toMatchObject({ state: 'asking' })
  })

  it('are counted also where all of them begin at the same moment', async () => {
    const begun = await Promise.allSettled(Array.from({ length: 40 }, (_, n) => begin(n)))
    expect(begun.filter(({ status }) => status === 'fulfilled')).toHaveLength(32)
  })
})

describe('streams of events', () => {
  const opened: AbortController[] = []
  const listen = (desk: Desk) => {
    const stop = new AbortController()
    opened.push(stop)
    const next = desk.events({ signal: stop.signal })[Symbol.asyncIterator]().next()
    const close = async () => {
      stop.abort()
      await next
    }
    return { next, close }
  }
  afterEach(() => {
    for (const stop of opened.splice(0)) stop.abort()
  })

  it('are so many for each caller and no more, until one of them is closed', async () => {
    const [first] = Array.from({ length: 64 }, () => listen(house.owner))
    await expect(listen(house.owner).next).rejects.toMatchObject({
      code: 'resource-exhausted',
      hint: expect.any(String),
    })
    const other = listen(house.as('app:reports'))
    await first?.close()
    const again = listen(house.owner)
    expect(await Promise.race([again.next, other.next, soon()])).toBe('still listening')
    await expect(listen(house.owner).next).rejects.toMatchObject({ code: 'resource-exhausted' })
  })
})

function soon(): Promise<string> {
  return new Promise((resolve) => setTimeout(resolve, 50, 'still listening'))
}
