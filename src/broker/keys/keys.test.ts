import { readFile } from 'node:fs/promises'
import type { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Grant, May } from '#client'
import { type Endless, endlessProvider } from '../../../test/endless.ts'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { PRACTICE, tokenFlow } from '../../../test/practice.ts'
import { until } from '../../../test/real.ts'
import { apiKeyFlow } from '../../flows/api-key.ts'
import type { CallerId, Proof } from '../../model/caller.ts'
import { Secret } from '../../model/secret.ts'
import type { Narrowed, NarrowRequest } from '../../model/words.ts'
import { canary } from '../../testing/canary.ts'

const AT_A_DOOR: Proof = { door: 'http' }
const REFUSED = ['not-connected', 'not-allowed', 'forward-only']

let provider: Endless
let house: TestHouse
beforeEach(async () => {
  provider = await endlessProvider()
  const made = tokenFlow()
  const origins = { openai: provider.origin, practice: provider.origin }
  house = await openTestHouse({ flows: [apiKeyFlow, made.flow], providers: [PRACTICE], origins })
  await house.owner.connect({ provider: 'practice' })
  await house.owner.connect({ provider: 'practice', bucket: 'work' })
})
afterEach(async () => {
  await house.close()
  await provider.close()
})

const grant = (address: string, ...may: May[]): Grant => ({ address, may })
const cut = (grants: readonly Grant[], more: Partial<NarrowRequest> = {}, desk = house.owner) =>
  desk.narrow({ kind: 'key', grants, ...more })
const shown = ({ secret }: Narrowed) => secret ?? new Secret('')
const at = ({ key }: Narrowed) => house.as(key.id as CallerId)
const known = (secret: Secret, proof = AT_A_DOOR) => house.broker.recognise(secret, proof)
const later = (minutes: number) => new Date(house.clock.now().getTime() + minutes * 60_000)

/** What a caller may at an address, tried out. */
async function maySee(id: CallerId, address: string): Promise<readonly May[]> {
  const desk = house.as(id)
  const tried = {
    lend: () => desk.lend({ address }),
    forward: () => desk.forward({ address, method: 'GET', path: '/v1/models' }).then(dropped),
    reveal: () => desk.reveal({ address }),
  }
  const may: May[] = []
  for (const [verb, attempt] of Object.entries(tried)) {
    const code = await attempt().then(
      () => undefined,
      (error: { code: string }) => error.code,
    )
    if (code === undefined) may.push(verb as May)
    else expect(REFUSED).toContain(code)
  }
  return may
}

const dropped = ({ body }: { body: ReadableStream | null }) => body?.cancel()

describe('a key', () => {
  it('is shown once, and is the caller that it was cut for', async () => {
    const narrowed = await cut([grant('practice', 'lend')], { name: 'the weekly report' })
    const text = shown(narrowed).reveal()
    expect(text).toMatch(/^vk_[a-z0-9]{16}_[A-Za-z0-9_-]{43}$/)
    const { id } = narrowed.key
    expect(narrowed.key).toMatchObject({
      id: `key:${text.split('_')[1]}`,
      kind: 'key',
      name: 'the weekly report',
      parent: 'person:owner',
      grants: [{ address: 'practice', may: ['lend'] }],
      socket: null,
      thumbprint: null,
      until: null,
    })
    const caller = await known(shown(narrowed))
    expect(caller).toEqual({ id, owner: 'person:owner', proof: AT_A_DOOR })
    if (caller === undefined) throw new Error('nobody')
    const lent = await house.broker.as(caller).lend({ address: 'practice' })
    expect(lent).toMatchObject({ lease: { caller: id } })
    expect(await house.owner.keys()).toEqual([narrowed.key])
    expect(JSON.stringify(await house.owner.keys())).not.toContain(text.slice(-43))
    expect(await house.owner.usage({ caller: id })).toMatchObject([{ caller: id, lends: 1 }])
    expect(await house.owner.audit({ caller: id })).toMatchObject([{ verb: 'lend', outcome: 'done' }])
    expect(await house.owner.audit({ verb: 'narrow' })).toMatchObject([
      { caller: 'person:owner', outcome: 'done', detail: `${id} may lend practice` },
      { outcome: 'opened' },
    ])
  })

  it('is of no use without proof of the key that it is bound to', async () => {
    const [thumbprint, other] = ['a'.repeat(43), 'b'.repeat(43)]
    const secret = shown(await cut([grant('practice', 'lend')], { thumbprint }))
    expect(await known(secret)).toBeUndefined()
    expect(await known(secret, { ...AT_A_DOOR, thumbprint: other })).toBeUndefined()
    expect(await known(secret, { ...AT_A_DOOR, thumbprint })).toBeDefined()
  })

  it('lies nowhere but in the hands of who got it [security 20.1]', async () => {
    const text = shown(await cut([grant('practice', 'lend')])).reveal()
    const [, , secret = ''] = text.split(/_(?=[a-z0-9]{16}_)|(?<=^vk_[a-z0-9]{16})_/)
    await house.meanwhile(async (file) => {
      for (const name of [file, `${file}-wal`]) {
        const bytes = await readFile(name).catch(() => Buffer.alloc(0))
        for (const spelled of [
          text,
          secret,
          Buffer.from(secret, 'base64url'),
          Buffer.from(text).toString('base64'),
        ])
          expect(bytes.includes(spelled)).toBe(false)
      }
    })
    expect(JSON.stringify(await house.owner.audit())).not.toContain(text)
    expect(await known(new Secret(text))).toBeDefined()
  })

  it.each([
    ['another secret', (text: string) => `${text.slice(0, -4)}AAAA`],
    ['another name', (text: string) => text.replace(/^vk_..../, 'vk_0000')],
    ['no name', (text: string) => text.replace(/^vk_[a-z0-9]+_/, 'vk__')],
    ['its end cut off', (text: string) => text.slice(0, -1)],
    ['more at its end', (text: string) => `${text}A`],
    ['a line before it', (text: string) => `\n${text}`],
    ['nothing', () => ''],
  ])('with %s is nobody’s', async (_, spoilt) => {
    const narrowed = await cut([grant('practice', 'lend')])
    expect(await known(new Secret(spoilt(shown(narrowed).reveal())))).toBeUndefined()
    expect(await known(shown(narrowed))).toBeDefined()
  })

  it('of one is not good with the secret of another', async () => {
    const [one, other] = [await cut([grant('practice', 'lend')]), await cut([grant('practice', 'lend')])]
    const crossed = `${shown(one).reveal().slice(0, 20)}${shown(other).reveal().slice(20)}`
    expect(await known(new Secret(crossed))).toBeUndefined()
  })

  it('is over at its time, at use and not only in the list', async () => {
    const narrowed = await cut([grant('practice', 'lend')], { until: later(10) })
    await at(narrowed).lend({ address: 'practice' })
    house.clock.pass({ minutes: 10 })
    expect(await known(shown(narrowed))).toBeUndefined()
    expect(await refusal(at(narrowed).lend({ address: 'practice' }))).toMatchObject({ code: 'not-connected' })
    expect(await house.owner.keys()).toEqual([])
  })

  it('is ended by its owner, and nothing is left of it', async () => {
    const narrowed = await cut([grant('practice', 'lend', 'forward')])
    await at(narrowed).lend({ address: 'practice' })
    const { id } = narrowed.key
    await house.owner.endKey(id)
    expect(await known(shown(narrowed))).toBeUndefined()
    expect(await refusal(at(narrowed).lend({ address: 'practice' }))).toMatchObject({ code: 'not-connected' })
    expect(await refusal(house.owner.endKey(id))).toMatchObject({ code: 'not-found' })
    expect(await house.owner.keys()).toEqual([])
    expect(await house.owner.leases()).toEqual([])
    const rows = (file: DatabaseSync) => file.prepare('select record from sealed where record = ?').all(id)
    expect(await house.inFile(rows)).toEqual([])
    expect(await house.owner.audit({ verb: 'end-key' })).toMatchObject([
      { outcome: 'failed', code: 'not-found' },
      { outcome: 'opened' },
      { outcome: 'done', target: id, detail: '1 callers and 1 leases ended' },
      { outcome: 'opened' },
    ])
  })

  it('cuts off what is under way at once when it is ended', async () => {
    const narrowed = await cut([grant('practice', 'forward')])
    const answer = await at(narrowed).forward({ address: 'practice', method: 'GET', path: '/endless' })
    const over = (async () => {
      for await (const _ of answer.body ?? []);
    })().catch((error: { code: string }) => error.code)
    await until(() => provider.open() > 0)
    await house.owner.endKey(narrowed.key.id)
    expect(await over).toBe('cancelled')
    await until(() => provider.open() === 0)
  })

  it('has nothing told any more when it is ended: its stream of events is over', async () => {
    const narrowed = await cut([grant('practice', 'lend')])
    const events = at(narrowed).events()[Symbol.asyncIterator]()
    const over = refusal(events.next())
    await house.owner.endKey(narrowed.key.id)
    expect(await over).toMatchObject({ code: 'cancelled' })
  })

  it('cuts off what is under way soon after its time', async () => {
    const narrowed = await cut([grant('practice', 'forward')], { until: later(10) })
    const answer = await at(narrowed).forward({ address: 'practice', method: 'GET', path: '/endless' })
    const over = (async () => {
      for await (const _ of answer.body ?? []);
    })().catch((error: { code: string }) => error.code)
    await until(() => provider.open() > 0)
    house.clock.pass({ minutes: 10 })
    expect(await over).toBe('cancelled')
  })

  it('goes on forwarding while it lives, past the look at what is under way', async () => {
    const narrowed = await cut([grant('practice', 'forward')])
    const answer = await at(narrowed).forward({ address: 'practice', method: 'GET', path: '/endless' })
    const over = (async () => {
      for await (const _ of answer.body ?? []);
    })().catch((error: { code: string }) => error.code)
    const first = await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 2600, 'flows'))])
    expect(first).toBe('flows')
    await house.owner.revokeCaller(narrowed.key.id)
    expect(await over).toBe('cancelled')
  })

  it('may be cut for an account that is not connected yet', async () => {
    const narrowed = await cut([grant('openai', 'forward')])
    expect(await maySee(narrowed.key.id as CallerId, 'openai')).toEqual([])
    expect(await at(narrowed).bindings()).toEqual([])
    await house.owner.connect({ provider: 'openai', fields: { key: new Secret(`sk-${canary('openai')}`) } })
    expect(await maySee(narrowed.key.id as CallerId, 'openai')).toEqual(['forward'])
    expect(await at(narrowed).bindings()).toMatchObject([
      { address: 'openai', may: ['forward'], asks: 'never' },
    ])
    expect(await at(narrowed).accounts()).toMatchObject([{ providerId: 'openai' }])
  })

  it('reveals only where its owner gave that', async () => {
    await house.owner.connect({ provider: 'openai', fields: { key: new Secret(`sk-${canary('openai')}`) } })
    const plain = await cut([grant('openai', 'forward')])
    const trusted = await cut([grant('openai', 'reveal')])
    expect(await maySee(plain.key.id as CallerId, 'openai')).toEqual(['forward'])
    expect(await maySee(trusted.key.id as CallerId, 'openai')).toEqual(['reveal'])
    expect(await refusal(at(trusted).lend({ address: 'openai' }))).toMatchObject({ code: 'forward-only' })
  })

  it.each([
    ['nothing that it may', { grants: [] }],
    ['a use that there is not', { grants: [{ address: 'practice', may: ['revoke'] }] as never }],
    ['an address that is none', { grants: [grant('practice/', 'lend')] }],
    ['an end that has passed', { until: new Date(0) }],
    ['an end that is no time', { until: new Date('never') }],
    ['a name that cannot be printed', { name: 'a\nb' }],
    ['a thumbprint that is none', { thumbprint: 'abc' }],
    ['users, though a key knows none', { uids: [0] }],
    [
      'two sets of limits for one account',
      {
        grants: [grant('practice', 'lend'), { ...grant('practice', 'forward'), limits: { budget: 1 } }],
      },
    ],
    [
      'a rate that is none',
      { grants: [{ ...grant('practice', 'lend'), limits: { rate: { uses: 0, seconds: 1 } } }] },
    ],
    [
      'hours that are none',
      { grants: [{ ...grant('practice', 'lend'), limits: { hours: { from: '9', to: '17' } } }] },
    ],
    ['a request that is none', { grants: [{ ...grant('practice', 'lend'), limits: { only: ['repos'] } }] }],
  ] satisfies [string, Partial<NarrowRequest>][])('is not cut with %s', async (_, wrong) => {
    expect(await refusal(cut([grant('practice', 'lend')], wrong))).toMatchObject({ code: 'invalid-request' })
    expect(await house.owner.keys()).toEqual([])
  })

  it('is not cut for a provider that nobody knows', async () => {
    expect(await refusal(cut([grant('practise', 'lend')]))).toMatchObject({ code: 'unknown-provider' })
  })

  it('of the same account named twice is one grant', async () => {
    const { key } = await cut([grant('practice', 'lend'), grant('practice/default', 'forward', 'lend')])
    expect(key.grants).toEqual([{ address: 'practice', may: ['lend', 'forward'] }])
  })

  it('ends with everything else when its owner ends everything', async () => {
    const narrowed = await cut([grant('practice', 'lend')])
    await house.owner.revokeAll()
    expect(await known(shown(narrowed))).toBeUndefined()
    expect(await house.owner.keys()).toEqual([])
  })

  it('is nobody’s once its owner was erased', async () => {
    const narrowed = await cut([grant('practice', 'lend')])
    await house.keeper.eraseOwner('person:owner')
    expect(await known(shown(narrowed))).toBeUndefined()
    const rows = (file: DatabaseSync) => file.prepare('select id from keys').all()
    expect(await house.inFile(rows)).toEqual([])
  })

  it('opens nothing while the vault is locked', async () => {
    const narrowed = await cut([grant('practice', 'lend')])
    await house.keeper.lock()
    await expect(known(shown(narrowed))).rejects.toMatchObject({ code: 'locked' })
    expect(await refusal(at(narrowed).lend({ address: 'practice' }))).toMatchObject({ code: 'locked' })
  })
})

describe('a row that was written to from outside', () => {
  const change = (sql: string) => house.inFile((file) => file.exec(sql))

  it.each([
    ['its end', 'update keys set until = null'],
    ['its maker', `update keys set parent = 'person:owner'`],
    ['its owner’s name for it', `update keys set name = 'harmless'`],
    ['its kind', `update keys set kind = 'socket'`],
    ['its generation', 'update keys set generation = 2'],
    ['its number', `update keys set id = 'key:0000000000000000' where parent <> 'person:owner'`],
  ])('is worth nothing with %s changed', async (_, sql) => {
    const above = await cut([grant('practice', 'lend'), grant('practice/work', 'lend')], { until: later(60) })
    const below = await cut([grant('practice', 'lend')], { until: later(10) }, at(above))
    await change(sql)
    expect(await known(shown(below))).toBeUndefined()
    const listed = await house.owner.keys()
    expect(listed.some((key) => key.grants.length === 0)).toBe(true)
    for (const { id } of listed.toReversed()) await house.owner.endKey(id).catch(() => undefined)
    expect(await house.owner.keys()).toEqual([])
  })

  it('is worth nothing with what another one was given in its place', async () => {
    const [small, large] = [
      await cut([grant('practice', 'lend')]),
      await cut([grant('practice/work', 'lend')]),
    ]
    await change(
      `delete from sealed where record = '${small.key.id}';
       update sealed set record = '${small.key.id}' where record = '${large.key.id}'`,
    )
    expect(await known(shown(small))).toBeUndefined()
    expect(await refusal(at(small).lend({ address: 'practice/work' }))).toMatchObject({ code: 'tampered' })
  })
})
