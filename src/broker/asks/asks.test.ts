import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Decision } from '#client'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { PRACTICE, tokenFlow } from '../../../test/practice.ts'
import { type CallerId, THE_PERSON } from '../../model/caller.ts'
import type { Ask, Desk } from '../../model/words.ts'

const NODE = '/usr/bin/node'
const CURL = '/usr/bin/curl'
const WORK = { address: 'practice/work', may: ['lend'], reason: 'weekly report' } as const

let house: TestHouse

beforeEach(async () => {
  house = await openTestHouse({ flows: [tokenFlow().flow], providers: [PRACTICE] })
  await house.owner.connect({ provider: 'practice', bucket: 'work' })
})

afterEach(() => house.close())

/** A caller, by one of its programs. */
function by(executable: string, id: CallerId = 'app:reports'): Desk {
  return house.broker.as({ id, owner: THE_PERSON, proof: { door: 'test', uid: 1000, executable } })
}

const node = () => by(NODE)
const curl = () => by(CURL)
const bind = (more = {}) =>
  house.owner.bind({ caller: 'app:reports', address: 'practice/work', may: ['lend'], ...more })
const use = (desk: Desk, purpose?: string) =>
  desk.lend({ address: 'practice/work', ...(purpose !== undefined && { purpose }) })
const code = async (promise: Promise<unknown>) =>
  promise.then(
    () => 'yes',
    (error: { code: string }) => error.code,
  )
const pending = async (desk = house.owner) => (await desk.asks()).filter(({ state }) => state === 'pending')
const only = async (): Promise<Ask> => {
  const [one, ...more] = await pending()
  if (one === undefined || more.length > 0) throw new Error(`there are ${more.length + 1} asks`)
  return one
}
const decide = async (decision: Decision) => house.owner.decide((await only()).id, decision)

describe('asking', () => {
  it('is pending until the owner decides, who sees which program asks for what, and why', async () => {
    const asked = await node().ask(WORK)
    expect(asked).toMatchObject({
      caller: 'app:reports',
      who: { door: 'test', executable: NODE, chain: [], uid: 1000, pid: null },
      address: 'practice/work',
      may: ['lend'],
      reason: 'weekly report',
      state: 'pending',
      decision: null,
      askedAt: house.clock.now(),
    })
    expect(await house.owner.asks()).toEqual([asked])
    expect(await node().asked(asked.id)).toEqual(asked)
    expect(await code(use(node()))).toBe('not-connected')
  })

  it('is one ask, however often the same program says the same wish', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => node().ask(WORK)))
    expect(new Set(all.map(({ id }) => id)).size).toBe(1)
    await node().ask({ ...WORK, reason: 'something that sounds nicer' })
    expect((await only()).reason).toBe('weekly report')
    await curl().ask(WORK)
    await node().ask({ ...WORK, may: ['forward', 'lend'] })
    await by(NODE, 'app:other').ask(WORK)
    expect(await pending()).toHaveLength(4)
  })

  it('tells nobody but the owner and whoever asked', async () => {
    const { id } = await node().ask(WORK)
    const stranger = by(NODE, 'app:other')
    expect(await stranger.asks()).toEqual([])
    expect(await refusal(stranger.asked(id))).toMatchObject({ code: 'not-found' })
    expect(await refusal(stranger.asked('ask-none'))).toMatchObject({ code: 'not-found' })
    expect(await refusal(house.owner.decide('ask-none', 'no'))).toMatchObject({ code: 'not-found' })
  })

  it.each([
    [{ ...WORK, may: [] }],
    [{ ...WORK, reason: ' ' }],
    [{ ...WORK, reason: 'bell \u0007' }],
    [{ ...WORK, reason: 'x'.repeat(201) }],
    [{ ...WORK, address: 'no address at all' }],
  ])('has to be understood: %o', async (request) => {
    expect(await refusal(node().ask(request))).toMatchObject({ code: 'invalid-request' })
    expect(await pending()).toEqual([])
  })

  it('is not what the owner does', async () => {
    expect(await refusal(house.owner.ask(WORK))).toMatchObject({ code: 'invalid-request' })
  })

  it('is answered at once where it is allowed already, and asks nobody', async () => {
    await bind({ asks: 'never' })
    const one = await node().ask(WORK)
    expect(one).toMatchObject({ state: 'allowed', decision: 'always', until: null })
    expect((await node().ask(WORK)).id).toBe(one.id)
    expect(await node().ask({ ...WORK, may: ['lend', 'reveal'] })).toMatchObject({ state: 'pending' })
  })

  it('lapses after ten minutes, and may then be said anew', async () => {
    const { id } = await node().ask(WORK)
    house.clock.pass({ minutes: 10 })
    expect(await node().asked(id)).toMatchObject({ state: 'lapsed', decision: null })
    expect(await refusal(house.owner.decide(id, 'always'))).toMatchObject({ code: 'conflict' })
    expect((await node().ask(WORK)).id).not.toBe(id)
  })

  it('keeps no caller from asking by asking much, and no owner busy', async () => {
    const asks = (from: CallerId, many: number) =>
      Promise.all(
        Array.from({ length: many }, (_, n) =>
          code(by(NODE, from).ask({ ...WORK, address: `practice/n${n}` })),
        ),
      )
    expect((await asks('app:greedy', 12)).filter((one) => one === 'resource-exhausted')).toHaveLength(4)
    expect(await code(node().ask(WORK))).toBe('yes')
    for (let n = 0; n < 7; n += 1) await asks(`app:many${n}`, 8)
    expect(await code(by(NODE, 'app:last').ask(WORK))).toBe('resource-exhausted')
    house.clock.pass({ minutes: 10 })
    expect(await code(by(NODE, 'app:last').ask(WORK))).toBe('yes')
  })
})

describe('asking much by many', () => {
  it('is no way to keep others from asking: those that one caller made ask as one', async () => {
    const socket = await house.owner.narrow({
      kind: 'key',
      grants: [{ address: 'practice/work', may: ['forward'] }],
    })
    const agent = by(NODE, socket.key.id as CallerId)
    const asked: string[] = []
    for (let many = 0; many < 9; many += 1) {
      const grants = [{ address: 'practice/work', may: ['forward'] }] as const
      const { key } = await agent.narrow({ kind: 'key', grants })
      asked.push(await code(by(NODE, key.id as CallerId).ask({ ...WORK, may: ['forward', 'lend'] })))
      asked.push(await code(agent.ask({ ...WORK, address: `practice/n${many}` })))
    }
    expect((await pending()).length).toBeLessThanOrEqual(8)
    expect(asked).toContain('resource-exhausted')
    expect(await code(node().ask(WORK))).toBe('yes')
  })
})

describe('what a stranger learns by asking', () => {
  it('is nothing of what is connected and what is not', async () => {
    const [there, not] = [await node().ask(WORK), await node().ask({ ...WORK, address: 'practice/none' })]
    const alike = ({ id: _, address: __, ...rest }: Ask) => rest
    expect(alike(not)).toEqual(alike(there))
    expect(await refusal(house.owner.decide(not.id, 'always'))).toMatchObject({
      code: 'not-connected',
      hint: 'valetkey connect practice/none',
    })
    expect(await house.owner.decide(not.id, 'no')).toMatchObject({ state: 'refused' })
  })

  it('is nothing by the time it takes either', async () => {
    const times = { there: [] as number[], not: [] as number[] }
    for (let n = 0; n < 60; n += 1) {
      const which = n % 2 === 0 ? 'there' : 'not'
      const desk = by(`/bin/p${n}`, `app:p${n}`)
      const address = which === 'there' ? 'practice/work' : 'practice/none'
      const began = performance.now()
      await desk.ask({ ...WORK, address })
      times[which].push(performance.now() - began)
    }
    const middle = (all: number[]) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0
    const [there, not] = [middle(times.there), middle(times.not)]
    expect(Math.abs(there - not)).toBeLessThan(Math.max(2, Math.max(there, not) / 2))
  })
})

describe('what was decided', () => {
  it('once, is good for one use', async () => {
    await node().ask(WORK)
    expect(await decide('once')).toMatchObject({ state: 'allowed', decision: 'once' })
    expect(await code(use(curl()))).toBe('ask-needed')
    expect(await code(use(node()))).toBe('yes')
    expect(await code(use(node()))).toBe('ask-needed')
  })

  it('once, serves one of twenty at once', async () => {
    await node().ask(WORK)
    await decide('once')
    const came = await Promise.all(Array.from({ length: 20 }, () => code(use(node()))))
    expect(came.filter((one) => one === 'yes')).toHaveLength(1)
    expect(new Set(came)).toEqual(new Set(['yes', 'ask-needed']))
    expect(await pending()).toHaveLength(1)
  })

  it('once, is over after ten minutes all the same', async () => {
    await node().ask(WORK)
    await decide('once')
    house.clock.pass({ minutes: 10 })
    expect(await code(use(node()))).toBe('not-connected')
  })

  it('for ten minutes, is good for as long', async () => {
    await node().ask(WORK)
    const decided = await decide('ten-minutes')
    expect(decided.until?.getTime()).toBe(house.clock.now().getTime() + 600_000)
    for (const _ of [1, 2, 3]) expect(await code(use(node()))).toBe('yes')
    expect(await code(use(curl()))).toBe('ask-needed')
    house.clock.pass({ minutes: 10 })
    expect(await code(use(node()))).toBe('not-connected')
  })

  it('always, is a binding that knows the program', async () => {
    await node().ask(WORK)
    expect(await decide('always')).toMatchObject({ state: 'allowed', decision: 'always', until: null })
    house.clock.pass({ minutes: 20 })
    expect(await code(use(node()))).toBe('yes')
    expect(await house.owner.bindings()).toMatchObject([
      { caller: 'app:reports', may: ['lend'], asks: 'first-use', until: null },
    ])
    expect(await code(use(curl()))).toBe('ask-needed')
  })

  it('no, is answered at once for a while, and asked again after it', async () => {
    await node().ask(WORK)
    await decide('no')
    expect(await node().ask(WORK)).toMatchObject({ state: 'refused', decision: 'no' })
    expect(await code(use(node()))).toBe('not-connected')
    house.clock.pass({ minutes: 10 })
    expect(await node().ask(WORK)).toMatchObject({ state: 'pending' })
  })

  it('is decided once', async () => {
    const { id } = await node().ask(WORK)
    const said = (['no', 'always', 'once', 'ten-minutes'] as const).map((one) =>
      code(house.owner.decide(id, one)),
    )
    expect((await Promise.all(said)).toSorted()).toEqual(['conflict', 'conflict', 'conflict', 'yes'])
  })

  it('is decided by nobody but the owner', async () => {
    const { id } = await node().ask(WORK)
    for (const who of ['app:reports', 'key:k', 'socket:s', 'node:n'] as const)
      expect(await code(by(NODE, who).decide(id, 'always'))).toBe('not-allowed')
    expect(await node().asked(id)).toMatchObject({ state: 'pending' })
  })

  it('is good for the account that was there, and for no other that comes to its place', async () => {
    await bind()
    await use(node()).catch(() => {})
    await decide('ten-minutes')
    await house.owner.revoke('practice/work')
    await house.owner.connect({ provider: 'practice', bucket: 'work' })
    expect(await code(use(node()))).toBe('not-connected')
    await bind()
    expect(await code(use(node()))).toBe('ask-needed')
    await decide('once')
    expect(await code(use(node()))).toBe('yes')
  })

  it('adds to a binding what it lacks, for as long as was said', async () => {
    await bind({ may: ['forward'], asks: 'never' })
    expect(await code(use(node()))).toBe('not-allowed')
    await node().ask(WORK)
    await decide('once')
    expect([await code(use(node())), await code(use(node()))]).toEqual(['yes', 'not-allowed'])
    await node().ask(WORK)
    await decide('always')
    expect([await code(use(node())), await code(use(node()))]).toEqual(['yes', 'yes'])
    expect((await house.owner.bindings())[0]?.may).toEqual(['forward', 'lend'])
  })

  it('always, makes no more of what was allowed once before', async () => {
    await node().ask(WORK)
    await decide('once')
    await node().ask({ ...WORK, may: ['forward'] })
    await decide('always')
    expect([await code(use(node())), await code(use(node()))]).toEqual(['yes', 'not-allowed'])
  })

  it('always, is no answer to what is asked about at every use', async () => {
    await bind({ may: ['reveal'], asks: 'always' })
    await node().ask(WORK)
    expect(await refusal(decide('always'))).toMatchObject({
      code: 'conflict',
      hint: 'valetkey bind app:reports practice/work --may reveal,lend --asks always',
    })
    await decide('ten-minutes')
    expect(await code(use(node()))).toBe('yes')
    expect(await code(node().reveal({ address: 'practice/work' }))).toBe('ask-needed')
  })

  it.each(['unbind', 'revokeCaller'] as const)('is over with what the caller may: %s', async (ending) => {
    const { id } = await bind()
    await refusal(use(node()))
    await decide('ten-minutes')
    await curl().ask({ ...WORK, may: ['reveal'] })
    if (ending === 'unbind') await house.owner.unbind(id)
    else await house.owner.revokeCaller('app:reports')
    await bind()
    expect([await pending(), await code(use(node()))]).toEqual([[], 'ask-needed'])
  })

  it('is told to the owner and to whoever asked, and to nobody else', async () => {
    const stop = new AbortController()
    const heard: string[] = []
    const listen = async (name: string, desk: Desk) => {
      for await (const told of desk.events({ signal: stop.signal }))
        if ('ask' in told) heard.push(`${name}: ${told.name} ${told.ask.state}`)
    }
    const listening = [
      listen('owner', house.owner),
      listen('caller', node()),
      listen('other', by(NODE, 'app:other')),
    ]
    await wait(20)
    await node().ask(WORK)
    await node().ask(WORK)
    await decide('once')
    await wait(50)
    stop.abort()
    await Promise.all(listening)
    expect(heard.toSorted()).toEqual([
      'caller: decided allowed',
      'owner: asked pending',
      'owner: decided allowed',
    ])
  })
})

describe('a use that the owner wants to be asked about', () => {
  it('asks by itself, and names the ask', async () => {
    await bind()
    const refused = await refusal(use(node(), 'weekly report'))
    const asked = await only()
    expect(asked).toMatchObject({ may: ['lend'], reason: 'weekly report', address: 'practice/work' })
    expect(refused).toMatchObject({ code: 'ask-needed', hint: `valetkey asks allow ${asked.id}` })
    expect(await refusal(use(node()))).toEqual(refused)
    expect(await pending()).toHaveLength(1)
  })

  it('says what it does where nothing was said', async () => {
    await bind()
    await refusal(use(node()))
    expect((await only()).reason).toBe('use of lend')
  })

  it('is the first use of each program, where nothing else was said when it was bound', async () => {
    expect((await bind()).asks).toBe('first-use')
    await refusal(use(node()))
    await decide('always')
    expect([await code(use(node())), await code(use(node()))]).toEqual(['yes', 'yes'])
    expect(await code(use(curl()))).toBe('ask-needed')
    const unknown = house.as('app:reports')
    await decide('always')
    expect(await code(use(unknown))).toBe('ask-needed')
    await decide('always')
    expect([await code(use(node())), await code(use(curl())), await code(use(unknown))]).toEqual([
      'yes',
      'yes',
      'yes',
    ])
  })

  it('is every use, where that was said', async () => {
    await bind({ asks: 'always' })
    for (const _ of [1, 2]) {
      expect(await code(use(node()))).toBe('ask-needed')
      await decide('once')
      expect(await code(use(node()))).toBe('yes')
    }
    expect((await house.owner.bindings())[0]?.asks).toBe('always')
  })

  it('hears of the no for a while, and asks nobody then', async () => {
    await bind()
    await refusal(use(node()))
    await decide('no')
    expect(await refusal(use(node()))).toMatchObject({ code: 'not-allowed' })
    expect(await pending()).toEqual([])
    house.clock.pass({ minutes: 10 })
    expect(await code(use(node()))).toBe('ask-needed')
  })

  it('is never one of the owner, who has said so by doing it', async () => {
    expect(await code(use(house.owner))).toBe('yes')
    expect(
      (await house.owner.bind({ caller: THE_PERSON, address: 'practice/work', may: ['reveal'] })).asks,
    ).toBe('never')
    expect(await code(house.owner.reveal({ address: 'practice/work' }))).toBe('yes')
  })

  it('forgets the programs when the binding is given anew', async () => {
    await bind()
    await refusal(use(node()))
    await decide('always')
    await bind()
    expect(await code(use(node()))).toBe('ask-needed')
  })
})

describe('callers that were narrowed', () => {
  const grants = (...may: ('lend' | 'forward')[]) => [{ address: 'practice/work', may }]
  const cut = async (maker: Desk, ...may: ('lend' | 'forward')[]) => {
    const { key } = await maker.narrow({ kind: 'key', grants: grants(...may) })
    return key.id as CallerId
  }

  it('are not asked about what the owner gave them', async () => {
    const key = by(NODE, await cut(house.owner, 'lend'))
    expect([await code(use(key)), await pending()]).toEqual(['yes', []])
  })

  it.each(['once', 'ten-minutes', 'always'] as const)(
    'may ask for more, %s, and keep what they had',
    async (how) => {
      const key = by(CURL, await cut(house.owner, 'forward'))
      expect(await code(use(key))).toBe('not-allowed')
      await key.ask(WORK)
      await decide(how)
      expect(await code(use(key))).toBe('yes')
      expect(await code(use(key))).toBe(how === 'once' ? 'ask-needed' : 'yes')
      const forward = key.forward({
        address: 'practice/work',
        method: 'GET',
        path: 'https://elsewhere.example/',
      })
      expect(await code(forward)).toBe('host-not-allowed')
      house.clock.pass({ minutes: 10 })
      expect(await code(use(key))).toBe(how === 'always' ? 'yes' : 'not-allowed')
    },
  )

  it('are allowed for good what was asked for, and nothing that they were allowed once', async () => {
    const key = by(CURL, await cut(house.owner, 'forward'))
    await key.ask({ ...WORK, may: ['reveal'] })
    await decide('once')
    await key.ask(WORK)
    await decide('always')
    const reveal = () => code(key.reveal({ address: 'practice/work' }))
    expect([await reveal(), await reveal()]).not.toContain('yes')
    expect(await code(use(key))).toBe('yes')
  })

  it('get no more than whoever made them has', async () => {
    await bind({ may: ['forward'], asks: 'never' })
    const key = by(NODE, await cut(node(), 'forward'))
    expect(await refusal(key.ask(WORK))).toMatchObject({
      code: 'not-allowed',
      hint: 'have app:reports ask first',
    })
    await bind({ may: ['forward', 'lend'], asks: 'never' })
    const { id } = await key.ask(WORK)
    await bind({ may: ['forward'], asks: 'never' })
    expect(await code(house.owner.decide(id, 'always'))).toBe('not-allowed')
    await bind({ may: ['forward', 'lend'], asks: 'never' })
    await decide('always')
    expect(await code(use(key))).toBe('yes')
    await bind({ may: ['forward'], asks: 'never' })
    expect(await code(use(key))).toBe('not-allowed')
    const [last] = await house.owner.audit({ verb: 'lend', limit: 1 })
    expect(last).toMatchObject({ outcome: 'refused', code: 'not-allowed' })
  })

  it('are allowed for a while, and lose that when whoever made them has it no more', async () => {
    await bind({ may: ['forward', 'lend'], asks: 'never' })
    const key = by(NODE, await cut(node(), 'forward'))
    await key.ask(WORK)
    await decide('ten-minutes')
    expect(await code(use(key))).toBe('yes')
    await bind({ may: ['forward'], asks: 'never' })
    expect(await code(use(key))).toBe('not-allowed')
    await house.owner.endKey((await house.owner.keys())[0]?.id ?? '')
    expect([await code(use(key)), await code(key.ask(WORK))]).toEqual(['not-connected', 'not-allowed'])
  })
})

describe('waiting for an answer', () => {
  it('ends as soon as there is one', async () => {
    const { id } = await node().ask(WORK)
    const began = performance.now()
    const waiting = node().asked(id, 30)
    await wait(50)
    await decide('once')
    expect(await waiting).toMatchObject({ state: 'allowed', decision: 'once' })
    expect(performance.now() - began).toBeLessThan(1000)
  })

  it('ends where there is none in time', async () => {
    const { id } = await node().ask(WORK)
    const waiting = node().asked(id, 30)
    await wait(50)
    house.clock.pass({ seconds: 31 })
    expect(await waiting).toMatchObject({ state: 'pending' })
  })

  it('ends when it is locked', async () => {
    const { id } = await node().ask(WORK)
    const waiting = refusal(node().asked(id, 30))
    await wait(50)
    await house.keeper.lock()
    expect(await waiting).toMatchObject({ code: 'locked' })
  })
})

describe('on record', () => {
  it('is every ask, every answer, and every use that was refused', async () => {
    await bind()
    await refusal(use(node(), 'weekly report'))
    const { id } = await only()
    await decide('once')
    await use(node())
    const lines = (await house.owner.audit({ limit: 100 }))
      .filter(({ verb, outcome }) => ['ask', 'decide', 'lend'].includes(verb) && outcome !== 'opened')
      .map(({ caller, verb, target, outcome, code, detail }) => [
        caller,
        verb,
        target,
        outcome,
        code ?? detail,
      ])
      .toReversed()
    expect(lines.toSorted()).toEqual(
      [
        ['app:reports', 'ask', 'practice/work', 'done', `${id}, pending: lend (weekly report)`],
        ['app:reports', 'lend', 'practice/work', 'refused', 'ask-needed'],
        ['person:owner', 'decide', id, 'done', 'once: app:reports, lend practice/work (weekly report)'],
        ['app:reports', 'lend', 'practice/work', 'done', expect.stringMatching(/^lease-/)],
      ].toSorted(),
    )
  })

  it('is asked about once, however often a program tries', async () => {
    await bind()
    for (let n = 0; n < 20; n += 1) await refusal(use(node()))
    const lines = await house.owner.audit({ limit: 100 })
    const count = (verb: string) =>
      lines.filter((line) => line.verb === verb && line.outcome !== 'opened').length
    expect([count('ask'), count('lend')]).toEqual([1, 20])
  })

  it('is what nobody can change who writes into the file', async () => {
    await node().ask(WORK)
    await house.inFile((file) => file.exec("update asks set state = 'allowed', until = null"))
    expect([await house.owner.asks(), await code(use(node()))]).toEqual([[], 'not-connected'])
  })

  it('survives the broker, before and after it was decided', async () => {
    const { id } = await node().ask(WORK)
    await house.meanwhile(() => {})
    await house.owner.decide(id, 'once')
    await house.meanwhile(() => {})
    expect([await code(use(node())), await code(use(node()))]).toEqual(['yes', 'ask-needed'])
  })

  it('is swept when it is long over', async () => {
    await node().ask(WORK)
    await curl().ask(WORK)
    house.clock.pass({ hours: 2 })
    await house.owner.accounts()
    expect(await house.inFile((file) => file.prepare('select state from asks').all())).toEqual([
      { state: 'lapsed' },
      { state: 'lapsed' },
    ])
    house.clock.pass({ hours: 25 })
    await house.owner.accounts()
    const left = await house.inFile((file) =>
      file
        .prepare(
          "select (select count(*) from asks) as asks, (select count(*) from sealed where field = 'ask') as sealed",
        )
        .get(),
    )
    expect(left).toEqual({ asks: 0, sealed: 0 })
  })
})
