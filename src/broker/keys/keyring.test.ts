import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { PRACTICE, tokenFlow } from '../../../test/practice.ts'
import { until } from '../../../test/real.ts'
import type { Caller, CallerId } from '../../model/caller.ts'
import type { SocketPlace, Sockets } from '../../model/sockets.ts'
import type { Narrowed, NarrowRequest } from '../../model/words.ts'

let house: TestHouse
let open: Map<CallerId, SocketPlace>
beforeEach(async () => {
  open = new Map()
  house = await openTestHouse({ flows: [tokenFlow().flow], providers: [PRACTICE] })
  await house.owner.connect({ provider: 'practice' })
  await house.broker.listenAt(places())
})
afterEach(() => house.close())

/** Where they would come in; who listens there has a test of its own. */
function places(): Sockets {
  return {
    async open(place) {
      open.set(place.id, place)
      return `/run/s/${place.id}`
    },
    close: async (id) => void open.delete(id),
  }
}

const GRANTS = [{ address: 'practice', may: ['lend'] }] as const
const socket = (more: Partial<NarrowRequest> = {}, desk = house.owner) =>
  desk.narrow({ kind: 'socket', grants: GRANTS, ...more })
const idOf = ({ key }: Narrowed) => key.id as CallerId
const later = (minutes: number) => new Date(house.clock.now().getTime() + minutes * 60_000)
const proof = { door: 'socket', uid: 7, pid: 8 }
const uid = process.getuid?.() ?? 0

describe('a caller that is a socket', () => {
  it('is whoever gets in there, and has nothing to show', async () => {
    const made = await socket({ uids: [uid, 1234] })
    const id = idOf(made)
    expect(made).toMatchObject({ secret: null, key: { kind: 'socket', socket: `/run/s/${id}` } })
    expect(id).toMatch(/^socket:[a-z0-9]{16}$/)
    expect(open.get(id)).toMatchObject({ id, uids: [uid, 1234] })
    const caller = open.get(id)?.as(proof)
    expect(caller).toEqual({ id, owner: 'person:owner', proof })
    const lent = await house.broker.as(caller as Caller).lend({ address: 'practice' })
    expect(lent.lease.caller).toBe(id)
    expect(house.broker.hasSockets()).toBe(true)
    expect(await house.owner.keys()).toEqual([made.key])
  })

  it('is for whoever asks, where nobody is named', async () => {
    expect(open.get(idOf(await socket()))?.uids).toEqual([uid])
    const far = house.broker.as({ id: 'person:owner', owner: 'person:owner', proof: { door: 'page' } })
    expect(await refusal(socket({}, far))).toMatchObject({ code: 'invalid-request' })
    await socket({ uids: [uid] }, far)
  })

  it.each([
    ['users that are none', { uids: [-1] }],
    ['half a user', { uids: [1.5] }],
    ['nobody', { uids: [] }],
    ['a thumbprint', { thumbprint: 'x'.repeat(43) }],
  ])('is not made for %s', async (_, wrong) => {
    expect(await refusal(socket(wrong))).toMatchObject({ code: 'invalid-request' })
    expect(open.size).toBe(0)
  })

  it('is closed when it is ended, and those it made with it', async () => {
    const made = await socket()
    const child = await socket({}, house.as(idOf(made)))
    expect([...open.keys()]).toEqual([idOf(made), idOf(child)])
    await house.owner.endKey(made.key.id)
    expect(open.size).toBe(0)
    expect(house.broker.hasSockets()).toBe(false)
  })

  it('is closed at its time, and that is on record', async () => {
    const made = await socket({ until: later(10) })
    const lasting = await socket()
    house.clock.pass({ minutes: 10 })
    await until(() => !open.has(idOf(made)), 3)
    expect([...open.keys()]).toEqual([idOf(lasting)])
    await until(async () => (await house.owner.audit({ verb: 'end-key' })).length === 1)
    expect(await house.owner.audit({ verb: 'end-key' })).toMatchObject([
      { caller: made.key.id, proof: 'broker', outcome: 'done', detail: 'its time was over' },
    ])
  })

  it('is opened again by the next broker, for the same users', async () => {
    const made = await socket({ uids: [uid, 1234] })
    const short = await socket({ until: later(1) })
    await house.meanwhile(() => {
      open.clear()
      house.clock.pass({ minutes: 2 })
    })
    expect(house.broker.hasSockets()).toBe(false)
    await house.broker.listenAt(places())
    expect([...open.keys()]).toEqual([idOf(made)])
    expect(open.get(idOf(made))?.uids).toEqual([uid, 1234])
    expect((await house.owner.keys()).map(({ id }) => id)).toEqual([idOf(made)])
    expect(idOf(short)).not.toBe(idOf(made))
  })

  it('is opened by an unlock where its broker began locked, and not by what was changed', async () => {
    const [made, changed] = [await socket(), await socket()]
    const spoil = `update keys set name = 'other' where id = '${changed.key.id}'`
    await house.inFile((file) => file.exec(spoil))
    open.clear()
    await house.keeper.lock()
    await house.broker.listenAt(places())
    expect(open.size).toBe(0)
    await house.keeper.unlock()
    expect([...open.keys()]).toEqual([idOf(made)])
  })

  it('is not left behind where its place cannot be opened', async () => {
    const failing = { ...places(), open: async () => Promise.reject(new Error('no room')) }
    await house.broker.listenAt(failing)
    await expect(socket()).rejects.toThrow()
    expect(await house.owner.keys()).toEqual([])
  })
})

describe('a caller that ends with a process', () => {
  const from = (pid: number) =>
    house.broker.as({ id: 'person:owner', owner: 'person:owner', proof: { ...proof, pid } })

  it('lives as long as that does', async () => {
    const made = await from(process.pid).narrow({ kind: 'key', grants: GRANTS, endsWithMe: true })
    await new Promise((resolve) => setTimeout(resolve, 1200))
    expect(await house.owner.keys()).toEqual([made.key])
  })

  it('is not made for one that is gone already, or that nobody knows', async () => {
    const wish = { kind: 'key', grants: GRANTS, endsWithMe: true } as const
    expect(await refusal(from(2 ** 22 + 1).narrow(wish))).toMatchObject({ code: 'invalid-request' })
    expect(await refusal(house.owner.narrow(wish))).toMatchObject({ code: 'invalid-request' })
  })
})

describe('who may use an account hears of it', () => {
  it('by what was given to them, too', async () => {
    const made = await house.owner.narrow({ kind: 'key', grants: GRANTS })
    const other = await house.owner.narrow({
      kind: 'key',
      grants: [{ address: 'practice/work', may: ['lend'] }],
    })
    const stop = new AbortController()
    const heard: Record<string, string[]> = { made: [], other: [] }
    const listening = Object.entries({ made, other }).map(async ([name, one]) => {
      const events = house.as(idOf(one)).events({ signal: stop.signal })
      for await (const event of events) heard[name]?.push(event.name)
    })
    await house.owner.revoke('practice')
    await until(() => heard['made']?.length === 1, 5)
    await house.owner.connect({ provider: 'practice' })
    await until(() => heard['made']?.length === 2, 5)
    stop.abort()
    await Promise.allSettled(listening)
    expect(heard).toEqual({ made: ['revoked', 'connected'], other: [] })
  })
})
