import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { PRACTICE, tokenFlow } from '../../../test/practice.ts'
import type { CallerId } from '../../model/caller.ts'
import type { Flow } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import { canary } from '../../testing/canary.ts'
import { type ListeningStandIn, type StandInAnswer, standIn } from '../../testing/stand-in.ts'

const key = `sk-${canary('openai')}`

let provider: ListeningStandIn
let house: TestHouse
/** What the provider answers to its nth request. */
let answers: (number: number) => StandInAnswer | Promise<StandInAnswer>

beforeEach(async () => {
  answers = () => ({ body: {} })
  provider = await standIn({ '*': () => answers(provider.requests.length) }).listen()
  house = await openTestHouse({ origins: { openai: provider.origin } })
})

afterEach(async () => {
  await house.close()
  await provider.close()
})

const fields = (given: string) => ({ fields: { key: new Secret(given) } })
const begin = async () => (await house.owner.connect({ provider: 'openai' })).id
/** What is sealed of a session, by field. */
const sealedOf = (id: string) =>
  house.inFile((file) =>
    file.prepare('select field from sealed where record = ? order by field').all(id),
  ) as Promise<{ field: string }[]>

/** Holds back the provider's answers until it is let go. */
function held() {
  const { promise, resolve } = Promise.withResolvers<void>()
  answers = async () => promise.then(() => ({ body: {} }))
  return resolve
}

async function until(so: () => boolean): Promise<void> {
  while (!so()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('a sign-in under way', () => {
  it('is seen by the caller who began it and by nobody else', async () => {
    const id = await begin()
    expect(await house.owner.flow(id)).toMatchObject({ id, state: 'asking', step: { ask: 'fill' } })
    const app = house.as('app:reports')
    for (const unknown of [id, 'flow-0']) {
      expect(await refusal(app.flow(unknown))).toMatchObject({ code: 'flow-not-found' })
      expect(await refusal(app.answer(unknown, fields(key)))).toMatchObject({ code: 'not-allowed' })
      expect(await refusal(app.cancel(unknown))).toMatchObject({ code: 'not-allowed' })
    }
    expect(await refusal(house.owner.flow('flow-0'))).toMatchObject({ code: 'flow-not-found' })
    expect(await house.owner.flow(id)).toMatchObject({ state: 'asking' })
  })

  it('puts on record who tried to move it', async () => {
    const id = await begin()
    await refusal(house.as('app:reports').answer(id, fields(key)))
    const [entry] = await house.owner.audit({ caller: 'app:reports' })
    expect(entry).toMatchObject({ outcome: 'refused', code: 'not-allowed', target: id })
  })

  it('is none of so many by a caller, and those it made, that the owner has no room for theirs', async () => {
    const grants = [{ address: 'openai', may: ['connect'] }] as const
    const { key: agent } = await house.owner.narrow({ kind: 'key', grants })
    const { key: child } = await house.as(agent.id as CallerId).narrow({ kind: 'key', grants })
    const begun: string[] = []
    for (let many = 0; many < 40; many += 1)
      begun.push(
        await house
          .as((many % 2 === 0 ? agent : child).id as CallerId)
          .connect({ provider: 'openai' })
          .then(
            ({ state }) => state,
            ({ code }) => code,
          ),
      )
    expect(begun.filter((one) => one === 'asking')).toHaveLength(16)
    expect(begun.at(-1)).toBe('resource-exhausted')
    for (let many = 0; many < 32; many += 1) await begin()
    expect(await refusal(begin())).toMatchObject({ code: 'resource-exhausted' })
  })

  it('is over after ten minutes', async () => {
    const id = await begin()
    house.clock.pass({ minutes: 10, seconds: -1 })
    expect(await house.owner.flow(id)).toMatchObject({ state: 'asking' })
    house.clock.pass({ seconds: 1 })
    const failure = { code: 'flow-expired', hint: 'valetkey connect openai' }
    expect(await house.owner.flow(id)).toMatchObject({ state: 'failed', step: null, failure })
    expect(await refusal(house.owner.answer(id, fields(key)))).toMatchObject({ code: 'flow-used' })
    expect(provider.requests).toHaveLength(0)
  })

  it('is worked on by one of two answers that come at once', async () => {
    const id = await begin()
    const ends = await Promise.allSettled([1, 2, 3].map(() => house.owner.answer(id, fields(key))))
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const end of ends) if (end.status === 'rejected') expect(end.reason.code).toBe('conflict')
    expect(provider.requests).toHaveLength(1)
    expect(await house.owner.accounts()).toHaveLength(1)
  })

  it('takes no second answer while the first is at the provider', async () => {
    const letGo = held()
    const id = await begin()
    const first = house.owner.answer(id, fields(key))
    await until(() => provider.requests.length === 1)
    expect(await refusal(house.owner.answer(id, fields(key)))).toMatchObject({ code: 'conflict' })
    expect(await house.owner.flow(id)).toMatchObject({ state: 'asking' })
    letGo()
    expect(await first).toMatchObject({ state: 'done' })
    expect(provider.requests).toHaveLength(1)
  })

  it('is over once it is done', async () => {
    const id = await begin()
    await house.owner.answer(id, fields(key))
    expect(await refusal(house.owner.answer(id, fields(key)))).toMatchObject({ code: 'flow-used' })
    expect(await house.owner.cancel(id)).toMatchObject({ state: 'done' })
  })
})

describe('a sign-in that is cancelled', () => {
  it('is not one that failed', async () => {
    const id = await begin()
    const failure = { code: 'cancelled', detail: 'the sign-in was cancelled', hint: null }
    expect(await house.owner.cancel(id)).toMatchObject({ state: 'cancelled', step: null, failure })
    expect(await house.owner.cancel(id)).toMatchObject({ state: 'cancelled' })
    expect(await refusal(house.owner.answer(id, fields(key)))).toMatchObject({ code: 'flow-used' })
    const [entry] = await house.owner.audit({ verb: 'connect', limit: 3 })
    expect(entry).toMatchObject({ outcome: 'failed', code: 'flow-used' })
  })

  it('connects nothing, even if the provider says yes afterwards', async () => {
    const letGo = held()
    const id = await begin()
    const answered = house.owner.answer(id, fields(key))
    await until(() => provider.requests.length === 1)
    expect(await house.owner.cancel(id)).toMatchObject({ state: 'cancelled' })
    letGo()
    expect(await answered).toMatchObject({ state: 'cancelled', account: null })
    expect(await house.owner.accounts()).toEqual([])
  })
})

describe('a sign-in that is over', () => {
  it('keeps no secret', async () => {
    const done = await begin()
    await house.owner.answer(done, fields(key))
    const failed = await house.owner.connect({})
    await refusal(house.owner.answer(failed.id, fields(key)))
    const cancelled = await house.owner.connect({ provider: 'anthropic', ...fields(canary('misshapen')) })
    await house.owner.cancel(cancelled.id)
    for (const id of [done, failed.id, cancelled.id]) expect(await sealedOf(id)).toEqual([{ field: 'end' }])
  })

  it('keeps none either when nobody ever came back to it: the next day there is nothing left', async () => {
    const { id } = await house.owner.connect({ provider: 'anthropic', ...fields(canary('misshapen')) })
    expect((await sealedOf(id)).length).toBeGreaterThan(1)
    house.clock.pass({ hours: 1 })
    await house.owner.accounts()
    expect(await sealedOf(id)).toEqual([{ field: 'end' }])
    house.clock.pass({ hours: 25 })
    await house.owner.accounts()
    expect(await sealedOf(id)).toEqual([])
    expect(await refusal(house.owner.flow(id))).toMatchObject({ code: 'flow-not-found' })
  })

  it('is put away when the house is opened, too', async () => {
    const { id } = await house.owner.connect({ provider: 'anthropic', ...fields(canary('misshapen')) })
    house.clock.pass({ hours: 1 })
    await house.meanwhile(() => undefined)
    expect(await sealedOf(id)).toEqual([{ field: 'end' }])
  })
})

describe('a flow that breaks', () => {
  const { flow, issue } = tokenFlow()
  let other: TestHouse

  beforeEach(async () => {
    other = await openTestHouse({ flows: [flow], providers: [PRACTICE] })
  })

  afterEach(() => other.close())

  it('ends its sign-in, and nothing of its words is kept', async () => {
    const secret = canary('quoted')
    issue.begin = () => Promise.reject(new TypeError(`cannot read ${secret}`))
    await expect(other.owner.connect({ provider: 'practice' })).rejects.toThrow(TypeError)
    const rows = await other.inFile((file) =>
      file.prepare('select id, state, holder from flowSessions').all(),
    )
    expect(rows).toMatchObject([{ state: 'failed', holder: null }])
    const failure = {
      code: 'internal-error',
      detail: 'valetkey made a mistake over this sign-in',
      hint: null,
    }
    expect(await other.owner.flow(String(rows[0]?.['id']))).toMatchObject({ state: 'failed', failure })
  })

  it('yields no account when it yields an identity', async () => {
    const identity = { issuer: 'https://issuer.test', subject: 'ada', claims: {} }
    issue.begin = async () => ({ done: { identity } })
    const { code } = await refusal(other.owner.connect({ provider: 'practice' }))
    expect(code).toBe('provider-not-configured')
  })
})

// A broker of its own, which answers a sign-in that the provider then leaves hanging.
const DYING = `
import { openHouse } from ${JSON.stringify(fileURLToPath(new URL('../../open.ts', import.meta.url)))}
import { Secret } from ${JSON.stringify(fileURLToPath(new URL('../../model/secret.ts', import.meta.url)))}
const [home, at] = process.argv.slice(1)
const { broker } = await openHouse({ home, env: {} }, { now: () => new Date(at) })
const desk = broker.as({ id: 'person:owner', owner: 'person:owner', proof: { door: 'test' } })
const key = { key: new Secret((await process.stdin.toArray()).join('')) }
const early = process.argv[3] === 'early'
const { id } = await desk.connect({ provider: 'openai', ...(early && { fields: key }) })
console.log(id)
if (!early) await desk.answer(id, { fields: key })
`

/** Kills a broker over its live check of a key that was known beforehand, or of one that was answered. */
async function killedOverItsCheck(when: 'early' | 'late'): Promise<void> {
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', DYING, house.home, house.clock.now().toISOString(), when],
    { stdio: ['pipe', 'ignore', 'inherit'], env: { PATH: process.env['PATH'] } },
  )
  child.stdin?.end(key)
  await until(() => provider.requests.length === 1)
  child.kill('SIGKILL')
  await once(child, 'exit')
}

describe('a holder that was killed over an answer', () => {
  const sessionLeft = async () => {
    const rows = await house.inFile((file) => file.prepare('select id, state from flowSessions').all())
    expect(rows).toMatchObject([{ state: 'asking' }])
    return String(rows[0]?.['id'])
  }

  it.each(['late', 'early'] as const)('is succeeded by the next (%s)', async (when) => {
    answers = (number) => (number === 1 ? new Promise(() => {}) : { body: {} })
    await house.meanwhile(() => killedOverItsCheck(when))
    const id = await sessionLeft()
    expect(await house.owner.flow(id)).toMatchObject({ state: 'asking' })
    expect(await refusal(house.owner.answer(id, fields(key)))).toMatchObject({ code: 'conflict' })

    house.clock.pass({ minutes: 1 })
    expect(await house.owner.flow(id)).toMatchObject({ state: 'done', account: { providerId: 'openai' } })
    expect(provider.requests.map(({ headers }) => headers['authorization'])).toEqual([
      `Bearer ${key}`,
      `Bearer ${key}`,
    ])
    expect(await sealedOf(id)).toEqual([{ field: 'end' }])
    const [closed, opened] = await house.owner.audit({ verb: 'connect', limit: 2 })
    expect([closed, opened]).toMatchObject([{ outcome: 'done', opened: opened?.seq }, { outcome: 'opened' }])
  })
})

describe('a live flow whose process died', () => {
  it('is interrupted, and says how to begin again', async () => {
    const { flow, issue } = tokenFlow()
    const live: Flow = { ...flow, nature: 'live' }
    const other = await openTestHouse({ flows: [live], providers: [PRACTICE] })
    const begun = Promise.withResolvers<void>()
    issue.begin = () => new Promise(() => begun.resolve())
    void other.owner.connect({ provider: 'practice' }).catch(() => {})
    await begun.promise
    const rows = await other.inFile((file) => file.prepare('select id from flowSessions').all())
    other.clock.pass({ minutes: 1 })
    expect(await other.owner.flow(String(rows[0]?.['id']))).toMatchObject({
      state: 'interrupted',
      failure: { code: 'flow-failed', hint: 'valetkey connect practice', reaction: 'try-again' },
    })
    await other.close()
  })
})
