import { describe, expect, it } from 'vitest'
import { type AuditVerb, ERRORS, type May } from '#client'
import { type Caller, type CallerId, THE_PERSON } from '../model/caller.ts'
import type { Standing, Target } from '../model/gate.ts'
import type { AccountRow } from '../model/storage.ts'
import type { Binding } from '../model/words.ts'
import { judge, type Refusal } from './policy.ts'

const NOW = new Date('2026-11-20T12:00:00Z')
const LATER = new Date('2026-11-20T12:00:01Z')
const EARLIER = new Date('2026-11-20T11:59:59Z')

const me = caller('person:owner')
const agent = caller('app:agent')
const stranger = caller('app:stranger')
const bob: Caller = { ...caller('person:bob'), owner: 'person:bob' }

const WORK = account('github/work', { standing: 0 })
const KEY = account('openai', { standing: 1 })
const TIRED = account('tired', { status: 'needs-reauth', reason: 'the grant was revoked' })
const FAILING = account('failing', { status: 'failing', reason: 'the provider has trouble' })
const GONE = account('gone', { status: 'revoked' })
const ACCOUNTS = [WORK, KEY, TIRED, FAILING, GONE]

const BINDINGS: readonly Binding[] = [
  binding('app:agent', 'github/work', ['lend', 'forward']),
  binding('app:agent', 'openai', ['lend', 'forward']),
  binding('app:agent', 'tired', ['lend']),
  binding('app:agent', 'failing', ['lend']),
  binding('app:agent', 'gone', ['lend', 'forward', 'reveal']),
  binding('app:viewer', 'github/work', ['forward']),
  binding('app:viewer', 'openai', ['reveal']),
  binding('app:late', 'github/work', ['lend'], { until: EARLIER }),
  binding('app:just', 'github/work', ['lend'], { until: NOW }),
  binding('app:soon', 'github/work', ['lend'], { until: LATER }),
  binding('app:asking', 'github/work', ['lend'], { asks: 'first-use' }),
  binding('app:nagging', 'github/work', ['lend'], { asks: 'always' }),
]

const OWNERS_ALONE: readonly AuditVerb[] = [
  'connect',
  'refresh',
  'rotate',
  'revoke',
  'bind',
  'unbind',
  'end-lease',
  'unlock',
  'lock',
  'rekey',
  'erase-owner',
  'export',
  'import',
  'accept-restore',
  'prune-audit',
  'read-audit',
  'verify-audit',
]

const AT_THE_TERMINAL = [
  ['export', 'valetkey vault export'],
  ['import', 'valetkey vault import'],
  ['rekey', 'valetkey vault rekey'],
  ['erase-owner', 'valetkey vault erase'],
  ['accept-restore', 'valetkey vault accept-restore'],
  ['prune-audit', 'valetkey audit prune'],
] as const satisfies ReadonlyArray<readonly [AuditVerb, string]>

describe('what the owner may do', () => {
  it('uses own accounts without a binding', () => {
    allow(me, 'lend', 'github/work')
    allow(me, 'forward', 'github/work')
    allow(me, 'forward', 'openai')
  })

  it.each(OWNERS_ALONE)('may %s', (verb) => {
    allow(me, verb, 'github/work')
    allow(me, verb)
  })

  it.each(AT_THE_TERMINAL)('may %s at the terminal, and not from a page', (verb, command) => {
    const page: Caller = { ...me, proof: { door: 'page' } }
    expect(deny(page, verb, undefined, 'not-allowed').hint).toContain(command)
    allow(me, verb)
  })

  it.each(['lock', 'unlock', 'connect', 'read-audit', 'verify-audit'] as const)(
    'may %s from a page',
    (verb) => {
      allow({ ...me, proof: { door: 'page' } }, verb)
    },
  )

  it('is not handed what never dies by itself', () => {
    const refusal = deny(me, 'lend', 'openai', 'forward-only')
    expect(refusal.hint).toBe('valetkey forward openai GET /… (or valetkey reveal openai)')
    expect(refusal.message).toContain('never dies')
  })

  it('reveals only under a live binding that says so', () => {
    const refusal = deny(me, 'reveal', 'openai', 'not-allowed')
    expect(refusal.hint).toBe('valetkey bind me openai --may reveal --until 10m')
    allow(me, 'reveal', 'openai', binding('person:owner', 'openai', ['reveal'], { until: LATER }))
    deny(me, 'reveal', 'openai', 'not-allowed', binding('person:owner', 'openai', ['reveal'], { until: NOW }))
    deny(me, 'reveal', 'openai', 'not-allowed', binding('person:owner', 'openai', ['forward']))
    deny(me, 'reveal', 'openai', 'not-allowed', binding('app:agent', 'openai', ['reveal']))
  })

  it.each(['lend', 'forward', 'reveal', 'rotate', 'revoke', 'refresh', 'bind'] as const)(
    'hears that nothing is connected when asking to %s it',
    (verb) => {
      deny(me, verb, 'slack', 'not-connected')
      deny(me, verb, 'gone', 'not-connected')
    },
  )

  it('connects what is not connected yet', () => {
    allow(me, 'connect', 'slack')
    allow(me, 'connect', 'gone')
  })

  it('stops at the accounts of somebody else', () => {
    deny(bob, 'lend', 'github/work', 'not-connected')
    deny(bob, 'forward', 'openai', 'not-connected')
    deny(bob, 'revoke', 'github/work', 'not-connected')
  })
})

describe('what a bound caller may do', () => {
  it('uses what it is bound to', () => {
    allow(agent, 'lend', 'github/work')
    allow(agent, 'forward', 'github/work')
    allow(agent, 'forward', 'openai')
    allow(caller('app:viewer'), 'forward', 'github/work')
    allow(caller('app:viewer'), 'reveal', 'openai')
  })

  it('hears how the owner gives what is lacking', () => {
    expect(deny(caller('app:viewer'), 'lend', 'github/work', 'not-allowed').hint).toBe(
      'valetkey bind app:viewer github/work --may forward,lend',
    )
    expect(deny(agent, 'reveal', 'openai', 'not-allowed').hint).toBe(
      'valetkey bind app:agent openai --may lend,forward,reveal',
    )
  })

  it('is not handed what never dies by itself, whatever the binding says', () => {
    deny(agent, 'lend', 'openai', 'forward-only')
    deny(caller('app:viewer'), 'lend', 'openai', 'forward-only')
  })

  it('uses it until the binding ends and not a moment longer', () => {
    allow(caller('app:soon'), 'lend', 'github/work')
    deny(caller('app:just'), 'lend', 'github/work', 'not-connected')
    deny(caller('app:late'), 'lend', 'github/work', 'not-connected')
  })

  it('waits for an owner who wants to be asked', () => {
    expect(deny(caller('app:asking'), 'lend', 'github/work', 'ask-needed').hint).toBe(
      'valetkey bind app:asking github/work --may lend --asks never',
    )
    deny(caller('app:nagging'), 'lend', 'github/work', 'ask-needed')
  })

  it('is not asked about again where that was said of its program', () => {
    const programs = ['/usr/bin/node', 'unknown']
    const asking = (asks: Binding['asks'], executable?: string, verb: May = 'lend', more = {}) => {
      const who = caller('app:asking')
      const proof = { ...who.proof, ...(executable !== undefined && { executable }) }
      const bound = binding('app:asking', 'github/work', ['lend', 'forward'], { asks })
      const standing = { account: WORK, binding: bound, programs, ...more }
      const verdict = judge({ ...who, proof }, verb, { address: 'github/work' }, standing, NOW)
      return verdict.allowed ? 'allowed' : verdict.code
    }
    expect(asking('first-use', '/usr/bin/node')).toBe('allowed')
    expect(asking('first-use', '/usr/bin/curl')).toBe('ask-needed')
    expect(asking('first-use')).toBe('allowed')
    expect(asking('always', '/usr/bin/node')).toBe('ask-needed')
    expect(asking('always', '/usr/bin/curl', 'forward', { unasked: ['forward'] })).toBe('allowed')
    expect(asking('always', '/usr/bin/curl', 'lend', { unasked: ['forward'] })).toBe('ask-needed')
  })

  it('takes whoever was narrowed for one program, whatever runs in it', () => {
    const key = { ...caller('key:k'), proof: { door: 'test', executable: '/usr/bin/node' } }
    const bound = binding('key:k', 'github/work', ['lend'], { asks: 'first-use' })
    const verdict = (programs: readonly string[]) =>
      judge(key, 'lend', { address: 'github/work' }, { account: WORK, binding: bound, programs }, NOW).allowed
    expect([verdict(['/usr/bin/node']), verdict(['key:k'])]).toEqual([false, true])
  })

  it('asks whoever it is, and for whatever there is or is not; the owner alone answers', () => {
    for (const who of [agent, stranger, caller('key:k'), caller('socket:s')]) {
      allow(who, 'ask', 'github/work')
      allow(who, 'ask', 'nowhere')
      expect(judge(who, 'decide', { name: 'ask-1' }, nothing(), NOW)).toMatchObject({ code: 'not-allowed' })
    }
    deny(me, 'ask', 'github/work', 'invalid-request')
    expect(judge(me, 'decide', { name: 'ask-1' }, nothing(), NOW).allowed).toBe(true)
  })

  it('hears why an account has to be connected again', () => {
    const refusal = deny(agent, 'lend', 'tired', 'needs-reauth')
    expect(refusal.message).toContain('the grant was revoked')
    expect(refusal.hint).toBe('valetkey reconnect tired')
    deny(me, 'forward', 'tired', 'needs-reauth')
  })

  it('goes on with an account in passing trouble', () => {
    allow(agent, 'lend', 'failing')
  })

  it.each(OWNERS_ALONE)('may not %s', (verb) => {
    deny(agent, verb, 'github/work', 'not-allowed')
    deny(agent, verb, undefined, 'not-allowed')
  })
})

describe('what a stranger learns', () => {
  const others: readonly AuditVerb[] = ['lend', 'forward', 'reveal', ...OWNERS_ALONE]

  it.each(others)('does not tell an unbound caller what is connected and what is not: %s', (verb) => {
    const absent = judge(stranger, verb, { address: 'github/work' }, nothing(), NOW)
    const standings: readonly Standing[] = [
      { account: WORK, binding: undefined },
      { account: { ...WORK, standing: 1 }, binding: undefined },
      { account: { ...WORK, status: 'needs-reauth' }, binding: undefined },
      { account: { ...WORK, status: 'revoked' }, binding: undefined },
      { account: WORK, binding: binding('app:stranger', 'github/work', ['lend'], { until: EARLIER }) },
      { account: WORK, binding: binding('app:agent', 'github/work', ['lend']) },
      { account: WORK, binding: binding('app:stranger', 'openai', ['lend', 'forward', 'reveal']) },
      { account: undefined, binding: binding('app:stranger', 'github/work', ['lend']) },
    ]
    expect(absent).toMatchObject({ code: 'not-connected', hint: 'valetkey ask github/work --reason …' })
    for (const standing of standings) {
      expect(judge(stranger, verb, { address: 'github/work' }, standing, NOW)).toEqual(absent)
    }
  })

  it('hears about an account of nobody what the owner hears too, and may ask where the owner connects', () => {
    const mine = judge(me, 'lend', { address: 'slack' }, nothing(), NOW)
    expect(mine).toMatchObject({ hint: 'valetkey connect slack' })
    const hint = 'valetkey ask slack --reason …'
    expect(judge(stranger, 'lend', { address: 'slack' }, nothing(), NOW)).toEqual({ ...mine, hint })
  })

  it('may do nothing that is about no account', () => {
    for (const verb of OWNERS_ALONE) deny(stranger, verb, undefined, 'not-allowed')
  })

  it('cannot write on a terminal with what it asks for', () => {
    const refusal = deny(stranger, 'lend', `\u001b[2J\n${'x'.repeat(500)}`, 'not-connected')
    expect(refusal.message).toMatch(/^[\x20-\x7e]{1,200}$/)
    expect(refusal.hint).toBe('valetkey providers')
  })
})

it('says every refusal in lower case, with no full stop and with a next step', () => {
  const callers = [me, agent, stranger, bob, ...BINDINGS.map((one) => caller(one.caller as CallerId))]
  const addresses = [...ACCOUNTS.map((one) => one.id), 'slack', undefined]
  for (const who of callers) {
    for (const verb of ['lend', 'forward', 'reveal', ...OWNERS_ALONE] as const) {
      for (const address of addresses) {
        const verdict = ask(who, verb, address)
        if (verdict.allowed) continue
        expect(Object.keys(ERRORS)).toContain(verdict.code)
        expect(verdict.message).toMatch(/^[a-z].*[^.]$/)
        expect(verdict.hint).toMatch(/^(valetkey |ask the owner)/)
      }
    }
  }
})

describe('a caller that was narrowed', () => {
  const key = caller('key:0123456789abcdef')
  const line: readonly CallerId[] = [key.id, 'key:maker00000000000', 'person:owner']
  const may = (who: Caller, verb: AuditVerb, target: Target, more: Partial<Standing> = {}) =>
    judge(who, verb, target, { ...nobody, ...more }, NOW)
  const nobody = { account: undefined, binding: undefined }
  const allowed = { allowed: true }

  it('narrows further, as anybody does: what is given is judged where it is written down', () => {
    for (const who of [me, agent, stranger, key])
      expect(may(who, 'narrow', { name: 'key ci' })).toEqual(allowed)
  })

  it('is ended by itself, by whoever made it however far above, and by the owner', () => {
    const target = { name: key.id }
    for (const who of [me, key, caller('key:maker00000000000')])
      expect(may(who, 'end-key', target, { line })).toEqual(allowed)
    const refused = may(stranger, 'end-key', target, { line })
    expect(refused).toMatchObject({ allowed: false, code: 'not-found' })
    expect(may(stranger, 'end-key', target, { line: [] })).toEqual(refused)
    expect(may(key, 'end-key', { name: 'key:another000000000' }, { line: ['key:another000000000'] })).toEqual(
      refused,
    )
  })

  it('connects and connects again the addresses that it was given for that, and does nothing else there', () => {
    const [at, rights] = [{ address: 'github/new' }, { may: ['connect'] as const }]
    expect(may(key, 'connect', at, rights)).toEqual(allowed)
    expect(may(key, 'connect', { address: 'github/work' }, { ...rights, account: WORK })).toEqual(allowed)
    for (const verb of ['lend', 'forward', 'reveal', 'rotate', 'revoke', 'refresh', 'bind'] as const)
      expect(may(key, verb, at, rights)).toMatchObject({ code: 'not-connected' })
    expect(may(key, 'connect', at, { may: ['lend', 'forward', 'reveal'] })).toMatchObject({
      code: 'not-connected',
    })
    expect(may(key, 'connect', { name: 'a pasted key' }, {})).toMatchObject({ code: 'not-allowed' })
  })
})

function allow(who: Caller, verb: AuditVerb, address?: string, bound?: Binding): void {
  expect(ask(who, verb, address, bound)).toEqual({ allowed: true })
}

function deny(
  who: Caller,
  verb: AuditVerb,
  address: string | undefined,
  code: Refusal['code'],
  bound?: Binding,
): Refusal {
  const verdict = ask(who, verb, address, bound)
  expect(verdict).toMatchObject({ allowed: false, code })
  if (verdict.allowed) throw new Error('was allowed')
  return verdict
}

function ask(who: Caller, verb: AuditVerb, address: string | undefined, bound?: Binding) {
  const found = ACCOUNTS.find(({ id }) => id === address)
  const standing = {
    account: found,
    binding: bound ?? BINDINGS.find((one) => one.caller === who.id && one.address === address),
  }
  return judge(who, verb, address === undefined ? { name: 'something' } : { address }, standing, NOW)
}

function nothing(): Standing {
  return { account: undefined, binding: undefined }
}

function caller(id: CallerId): Caller {
  return { id, owner: THE_PERSON, proof: { door: 'test', uid: 1000 } }
}

function account(address: string, more: Partial<AccountRow>): AccountRow {
  const [provider = '', bucket = 'default'] = address.split('/')
  return {
    owner: THE_PERSON,
    id: address,
    provider,
    bucket,
    flow: 'api-key',
    status: 'connected',
    reason: null,
    standing: 0,
    generation: 1,
    connectedAt: 0,
    changedAt: 0,
    lastUsedAt: null,
    expiresAt: null,
    dueAt: null,
    tries: 0,
    nextTryAt: null,
    askedAt: null,
    diesAt: null,
    warnedAt: null,
    rotateDays: null,
    rotateAt: null,
    rotateToldAt: null,
    ...more,
  }
}

function binding(who: CallerId, address: string, may: readonly May[], more: Partial<Binding> = {}): Binding {
  return {
    id: `${who} at ${address}`,
    caller: who,
    accountId: address,
    address,
    may,
    asks: 'never',
    limits: null,
    createdAt: EARLIER,
    until: null,
    ...more,
  }
}
