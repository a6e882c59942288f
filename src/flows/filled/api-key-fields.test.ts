import { afterEach, describe, expect, it } from 'vitest'
import type { FlowContext, FlowTurn } from '../../model/flow.ts'
import type { ProviderFile } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { oauthStage } from '../../testing/oauth-stage.ts'
import { standIn } from '../../testing/stand-in.ts'
import { apiKeyFlow } from '../api-key.ts'

// Keys of several fields and pairs of a user and a password, tried at a server that takes nothing else.

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

type SignInFile = ProviderFile['signIns'][number]
type Fields = NonNullable<SignInFile['fields']>

const field = (name: string, more: Partial<Fields[number]> = {}) => ({ name, label: name, ...more })

/** A provider that is asked once, and says yes to these headers alone. */
async function tried(
  headers: Readonly<Record<string, string>>,
  signIn: Pick<SignInFile, 'fields' | 'present'>,
  known: Readonly<Record<string, string>>,
): Promise<{ readonly turn: FlowTurn; readonly seen: readonly unknown[]; readonly context: FlowContext }> {
  const seen: unknown[] = []
  const there = await standIn({
    'GET /me': (request) => {
      const worn = Object.keys(headers).map((name) => [name, request.headers[name]])
      seen.push(Object.fromEntries(worn))
      const isRight = Object.entries(headers).every(([name, value]) => request.headers[name] === value)
      return isRight ? { body: { id: 'zoe' } } : { status: 401, body: {} }
    },
  }).listen()
  closing.push(there.close)
  const context = oauthStage(
    { openCatalogue, openNetwork },
    {
      oauth: { authorize: 'https://acme.test/a', token: 'https://acme.test/t' },
      scopes: [],
      signIn: { flow: 'api-key', ...signIn, verify: { url: 'https://api.acme.test/me', subject: '/id' } },
      provider: { revoke: { how: 'console' } },
      origins: { acme: there.origin },
      allow: [there.origin],
      known,
    },
  )
  return { turn: await apiKeyFlow.begin(context), seen, context }
}

const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`
const doneOf = (turn: FlowTurn) => {
  if (!('done' in turn) || !('credential' in turn.done)) throw new Error(JSON.stringify(turn))
  return turn.done
}

const secret = canary('secret')
const second = canary('second')
const third = canary('third')

describe('a key of several parts', () => {
  const parts = {
    fields: [field('one'), field('two'), field('three', { optional: true })],
    present: [
      { header: 'x-one', field: 'one' },
      { header: 'x-two', prefix: 'Key ', field: 'two' },
      { header: 'x-three', field: 'three', optional: true },
    ],
  }

  it('wears each of them in its own place', async () => {
    const headers = { 'x-one': secret, 'x-two': `Key ${second}`, 'x-three': third }
    const { turn } = await tried(headers, parts, { one: secret, two: second, three: third })
    const { credential, profile } = doneOf(turn)
    expect(Object.keys(credential.worn)).toEqual(['one', 'two', 'three'])
    expect(profile.subject).toBe('zoe')
  })

  it('is complete without the optional one, and asks for the others before it is tried', async () => {
    const whole = await tried({ 'x-one': secret }, parts, { one: secret, two: second })
    expect(Object.keys(doneOf(whole.turn).credential.worn)).toEqual(['one', 'two'])
    const half = await tried({ 'x-one': secret }, parts, { one: secret })
    expect(half.turn).toMatchObject({ step: { ask: 'fill', fields: [{ name: 'two' }, { name: 'three' }] } })
    expect(half.seen).toEqual([])
  })

  it('is asked for again as a whole when one of them is wrong, and keeps what was right', async () => {
    const headers = { 'x-one': secret, 'x-two': `Key ${second}` }
    const { turn, context } = await tried(headers, parts, { one: secret, two: canary('wrong') })
    if (!('step' in turn)) throw new Error('nobody is asked')
    expect(turn.step).toMatchObject({ code: 'invalid-credentials' })
    const answer = { fields: { two: new Secret(second) } }
    const { credential } = doneOf(await apiKeyFlow.next(context, turn.memory, answer))
    expect(credential.worn['one']?.reveal()).toBe(secret)
  })
})

describe('a basic pair', () => {
  const sid = `AC${'0f'.repeat(16)}`
  const open = (name: string) => field(name, { secret: false })

  it.each<[string, SignInFile['present'], Fields, Record<string, string>, string]>([
    ['of a key and no password', [{ basic: { user: 'key' } }], [field('key')], { key: secret }, `${secret}:`],
    [
      'of an id and its token',
      [{ basic: { user: 'sid', password: 'token' } }],
      [field('sid', { secret: false, pattern: 'AC[0-9a-f]{32}' }), field('token')],
      { sid, token: secret },
      `${sid}:${secret}`,
    ],
    [
      'of a mail address and a token',
      [{ basic: { user: 'email', password: 'token' } }],
      [open('email'), field('token')],
      { email: 'zoë@example.com', token: secret },
      `zoë@example.com:${secret}`,
    ],
    [
      'whose user is always the same',
      [{ basic: { password: 'key', fixed: { user: 'api' } } }],
      [field('key')],
      { key: secret },
      `api:${secret}`,
    ],
    [
      'whose password is always the same',
      [{ basic: { user: 'key', fixed: { password: 'X' } } }],
      [field('key')],
      { key: secret },
      `${secret}:X`,
    ],
    [
      'whose user has an ending',
      [{ basic: { user: 'email', userEnds: '/token', password: 'token' } }],
      [open('email'), field('token')],
      { email: 'zoe@example.com', token: secret },
      `zoe@example.com/token:${secret}`,
    ],
    ['of no user', [{ basic: { password: 'key' } }], [field('key')], { key: secret }, `:${secret}`],
  ])('%s is worn exactly, and tried', async (_, present, fields, known, pair) => {
    const { turn, seen } = await tried({ authorization: basic(pair) }, { present, fields }, known)
    expect(doneOf(turn).credential).toMatchObject({ standing: true, tokenType: 'Basic' })
    expect(seen).toEqual([{ authorization: basic(pair) }])
  })

  it('whose user would end early is asked for again, and sent nowhere', async () => {
    const present = [{ basic: { user: 'sid', password: 'token' } }]
    const fields = [open('sid'), field('token')]
    const { turn, seen } = await tried({}, { present, fields }, { sid: 'a:b', token: secret })
    expect(turn).toMatchObject({ step: { ask: 'fill', code: 'key-format' } })
    expect(seen).toEqual([])
  })

  it('is refused in a provider file that says one half twice', async () => {
    const present = [{ basic: { user: 'key', fixed: { user: 'api' } } }]
    await expect(tried({}, { present, fields: [field('key')] }, { key: secret })).rejects.toMatchObject({
      code: 'config-invalid',
    })
  })
})
