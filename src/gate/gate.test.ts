import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AuditVerb, ValetkeyError } from '#client'
import { leave } from '../../test/leave.ts'
import { type Caller, type CallerId, THE_PERSON } from '../model/caller.ts'
import type { AuditChain, Gate } from '../model/gate.ts'
import { type AccountRow, EVERY_OWNER, type Storage } from '../model/storage.ts'
import type { VaultKeeper } from '../model/vault.ts'
import { openSqlite } from '../storage/sqlite.ts'
import { canary } from '../testing/canary.ts'
import { fileSource } from '../vault/sources/file.ts'
import { openVault } from '../vault/vault.ts'
import { auditChain } from './chain.ts'
import { openGate } from './gate.ts'

const ACCOUNT: AccountRow = {
  owner: THE_PERSON,
  id: 'account-1',
  provider: 'github',
  bucket: 'default',
  flow: 'device-code',
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
}

const me = caller('person:owner')
const stranger = caller('app:stranger')

let folder: string
let disk: Storage
let keeper: VaultKeeper
let chain: AuditChain
let gate: Gate
let full: boolean
let transactions: number

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  disk = await openSqlite(join(folder, 'vault.db'))
  keeper = await openVault({
    storage: disk,
    sources: () => fileSource(folder),
    preferred: 'file',
    now,
    newId: () => crypto.randomUUID(),
  })
  await keeper.unlock()
  full = false
  chain = auditChain({ storage: fillable(disk), vault: keeper.vault, anchor: anchor(), now })
  await chain.resume()
  transactions = 0
  gate = openGate({ chain, standing, now })
})

afterEach(async () => {
  await chain.pause()
  await disk.close()
  await leave(folder)
})

describe('a yes', () => {
  it.each(['lend', 'reveal'] as const)('is one entry when it ends in the turn it began: %s', async (verb) => {
    const { account, close } = await gate.pass(bound(), verb, { address: 'github' })
    await close('done', { detail: 'lease 1' })
    expect(account).toEqual(ACCOUNT)
    expect(await record()).toEqual([{ seq: 1, verb, outcome: 'done', detail: 'lease 1' }])
    expect(transactions).toBe(1)
  })

  it('is two entries when it ends later, and the second names the first', async () => {
    const { close } = await gate.pass(me, 'lend', { address: 'github' })
    await turns(3)
    expect(await record()).toEqual([{ seq: 1, verb: 'lend', outcome: 'opened' }])
    await close('failed', { code: 'network-error' })
    expect(await record()).toEqual([
      { seq: 1, verb: 'lend', outcome: 'opened' },
      { seq: 2, verb: 'lend', outcome: 'failed', opened: 1, code: 'network-error' },
    ])
  })

  it('is two entries when it ends while the first is being written', async () => {
    const { close } = await gate.pass(me, 'lend', { address: 'github' })
    await turns(1)
    await close('done')
    expect(await record()).toEqual([
      { seq: 1, verb: 'lend', outcome: 'opened' },
      { seq: 2, verb: 'lend', outcome: 'done', opened: 1 },
    ])
  })

  it.each(['forward', 'connect', 'revoke', 'refresh', 'bind', 'export', 'lock'] as const)(
    'is on record before anything is done: %s',
    async (verb) => {
      const { close } = await gate.pass(me, verb, { address: 'github' })
      expect(await record()).toEqual([{ seq: 1, verb, outcome: 'opened' }])
      await close('done')
      expect(await record()).toMatchObject([{ outcome: 'opened' }, { outcome: 'done', opened: 1 }])
    },
  )

  it('is closed once', async () => {
    const { close } = await gate.pass(me, 'lend', { address: 'github' })
    await Promise.all([close('done'), close('failed', { code: 'internal-error' })])
    await close('failed')
    expect(await record()).toEqual([{ seq: 1, verb: 'lend', outcome: 'done' }])
  })

  it('writes a thousand lends of one turn in one transaction', async () => {
    const lend = async () => (await gate.pass(me, 'lend', { address: 'github' })).close('done')
    await Promise.all(Array.from({ length: 1000 }, lend))
    expect(transactions).toBe(1)
    expect(await chain.verify()).toMatchObject({ ok: true, entries: 1000 })
  })

  it('says who asked and how that was proved', async () => {
    const proof = {
      door: 'socket',
      uid: 1000,
      pid: 4711,
      executable: '/usr/bin/agent',
      startedAt: new Date('2026-11-20T11:00:00Z'),
    }
    await (await gate.pass({ ...me, proof }, 'lock', { name: 'the vault' })).close('done')
    const [entry] = await chain.read(THE_PERSON, {})
    expect(entry).toMatchObject({
      caller: 'person:owner',
      target: 'the vault',
      proof: 'socket, uid 1000, pid 4711, /usr/bin/agent, since 2026-11-20T11:00:00.000Z',
    })
  })
})

describe('a no', () => {
  it('turns an unbound caller away, and has written that down before', async () => {
    const refusal = await refused(stranger, 'lend', 'github')
    expect(refusal).toMatchObject({ code: 'not-connected', hint: 'valetkey ask github --reason …' })
    expect(refusal.rowsThen).toBe(1)
    expect(await record()).toEqual([{ seq: 1, verb: 'lend', outcome: 'refused', code: 'not-connected' }])
  })

  it.each(['lend', 'forward', 'reveal', 'revoke', 'connect'] as const)(
    'does not tell an unbound caller what is connected and what is not: %s',
    async (verb) => {
      const there = await refused(stranger, verb, 'github')
      gate = openGate({ chain, standing: async () => ({ account: undefined, binding: undefined }), now })
      const absent = await refused(stranger, verb, 'github')
      const said = ({ code, message, hint }: ValetkeyError) => ({ code, message, hint })
      expect(said(there)).toEqual(said(absent))
      expect(Object.keys(there)).toEqual(Object.keys(absent))
    },
  )

  it('stands in the record of the owner, not of the stranger', async () => {
    await refused(stranger, 'lend', 'github')
    expect(await chain.read(THE_PERSON, {})).toMatchObject([{ caller: 'app:stranger', target: 'github' }])
  })

  it('keeps what a stranger asked for short and printable', async () => {
    await refused(stranger, 'lend', `\u001b[2J${'x'.repeat(10_000)}`)
    const [entry] = await chain.read(THE_PERSON, {})
    expect(entry?.target).toMatch(/^[\x20-\x7e]{1,130}$/)
  })
})

describe('a no before anything could be judged', () => {
  it('is on record as well, with its code, and is told as it was', async () => {
    const changed = new ValetkeyError('tampered', 'a binding was changed', { hint: 'valetkey unbind b' })
    gate = openGate({ chain, standing: () => Promise.reject(changed), now })
    const refusal = await refused(stranger, 'lend', 'github')
    expect(refusal).toBe(changed)
    expect(refusal.rowsThen).toBe(1)
    expect(await record()).toEqual([{ seq: 1, verb: 'lend', outcome: 'refused', code: 'tampered' }])
    gate = openGate({ chain, standing: () => Promise.reject(new Error('a mistake')), now })
    await expect(gate.pass(stranger, 'forward', { address: 'github' })).rejects.toThrow('a mistake')
    expect((await chain.read(THE_PERSON, { limit: 1 }))[0]).toMatchObject({
      verb: 'forward',
      outcome: 'refused',
      code: 'internal-error',
    })
  })

  it('[security 20.2] does not put on record what was given in the place of an address', async () => {
    const pasted = `sk-${canary('pasted')}+/=`
    gate = openGate({
      chain,
      standing: () => Promise.reject(new ValetkeyError('invalid-request', 'this is not an account')),
      now,
    })
    await refused(me, 'lend', pasted)
    const [entry] = await chain.read(THE_PERSON, {})
    expect(entry).toMatchObject({ target: 'an address that cannot be read', code: 'invalid-request' })
    expect(JSON.stringify(entry)).not.toContain(pasted)
  })

  it('is not told where it cannot be recorded', async () => {
    gate = openGate({
      chain,
      standing: () => Promise.reject(new ValetkeyError('tampered', 'it was changed')),
      now,
    })
    full = true
    await expect(gate.pass(stranger, 'lend', { address: 'github' })).rejects.toMatchObject({
      code: 'not-recorded',
    })
  })
})

describe('when the record cannot be written', () => {
  it.each(['lend', 'reveal'] as const)('[security 20.2] no answer leaves: %s', async (verb) => {
    const { close } = await gate.pass(bound(), verb, { address: 'github' })
    full = true
    await expect(close('done')).rejects.toMatchObject({
      code: 'not-recorded',
      hint: 'free disk space, then try again',
      cause: { code: 'disk-full' },
    })
  })

  it('[security 20.2] no answer leaves either when only the opening failed', async () => {
    full = true
    const { close } = await gate.pass(me, 'lend', { address: 'github' })
    await turns(5)
    full = false
    await expect(close('done')).rejects.toMatchObject({ code: 'not-recorded' })
    expect(await record()).toEqual([])
  })

  it.each(['forward', 'connect', 'revoke', 'bind'] as const)(
    '[security 20.2] nothing is begun: %s',
    async (verb) => {
      full = true
      await expect(gate.pass(me, verb, { address: 'github' })).rejects.toMatchObject({ code: 'not-recorded' })
      full = false
      expect(await record()).toEqual([])
    },
  )

  it('a refusal is no longer told apart', async () => {
    full = true
    await expect(gate.pass(stranger, 'lend', { address: 'github' })).rejects.toMatchObject({
      code: 'not-recorded',
    })
  })

  it('[security 20.2] every answer that left is on record, to the last page of the file', async () => {
    const small = await openSqlite(join(folder, 'small.db'), { maxPages: 150 })
    const sealed = await openVault({
      storage: small,
      sources: () => fileSource(join(folder, 'small')),
      preferred: 'file',
      now,
      newId: () => crypto.randomUUID(),
    })
    await sealed.unlock()
    chain = auditChain({ storage: small, vault: sealed.vault, anchor: anchor(), now })
    await chain.resume()
    gate = openGate({ chain, standing, now })
    const lend = async () => (await gate.pass(me, 'lend', { address: 'github' })).close('done')
    let answers = 0
    let refusals = 0
    while (refusals < 50) {
      const turn = await Promise.allSettled(Array.from({ length: 7 }, lend))
      for (const one of turn) {
        if (one.status === 'fulfilled') answers += 1
        else {
          refusals += 1
          expect(one.reason).toMatchObject({ code: 'not-recorded', cause: { code: 'disk-full' } })
        }
      }
    }
    expect(answers).toBeGreaterThan(100)
    expect(await chain.verify()).toMatchObject({ ok: true, entries: answers })
    await chain.pause()
    await small.close()
  })

  it('[security 20.2] a locked vault is said to be locked', async () => {
    await chain.pause()
    await expect(gate.pass(me, 'forward', { address: 'github' })).rejects.toMatchObject({ code: 'locked' })
  })
})

/** What the caller was told, and how many entries there were by then. */
async function refused(who: Caller, verb: AuditVerb, address: string) {
  let passed = true
  try {
    await gate.pass(who, verb, { address })
  } catch (error) {
    passed = false
    const rowsThen = (await disk.list('audit', { owner: EVERY_OWNER })).length
    if (error instanceof ValetkeyError) return Object.assign(error, { rowsThen })
    throw error
  } finally {
    expect(passed).toBe(false)
  }
  throw new Error('was not refused')
}

/** The record from its beginning, without what is the same in every entry here. */
async function record() {
  const entries = await chain.read(THE_PERSON, {})
  return entries.toReversed().map(({ at, owner, caller, proof, target, ...rest }) => rest)
}

async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await new Promise((resolve) => setImmediate(resolve))
}

async function standing(who: Caller) {
  const may = who.id === 'app:bound' ? (['lend', 'forward', 'reveal'] as const) : undefined
  return { account: ACCOUNT, binding: may && { ...BINDING, caller: who.id, may } }
}

const BINDING = {
  id: 'binding-1',
  accountId: ACCOUNT.id,
  address: 'github',
  asks: 'never',
  limits: null,
  createdAt: now(),
  until: null,
} as const

function bound(): Caller {
  return caller('app:bound')
}

function caller(id: CallerId): Caller {
  return { id, owner: THE_PERSON, proof: { door: 'test', uid: 1000 } }
}

function anchor() {
  let kept: Uint8Array | undefined
  return {
    read: async () => kept,
    write: async (bytes: Uint8Array) => {
      kept = bytes
    },
  }
}

/** The same storage on a disk that is full on demand. */
function fillable(real: Storage): Storage {
  return {
    ...real,
    transaction(durability, work) {
      transactions += 1
      if (full) return Promise.reject(new ValetkeyError('disk-full', 'the disk is full'))
      return real.transaction(durability, work)
    },
  }
}

function now(): Date {
  return new Date('2026-11-20T12:00:00Z')
}
