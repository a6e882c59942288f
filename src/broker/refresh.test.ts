import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ErrorCode, ValetkeyError } from '#client'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import { leave } from '../../test/leave.ts'
import { PRACTICE } from '../../test/practice.ts'
import { renewingFlow, type Upstream } from '../../test/renewing.ts'
import { apiKeyFlow } from '../flows/api-key.ts'
import { Secret } from '../model/secret.ts'
import type { Storage } from '../model/storage.ts'
import type { ValetkeyEvent } from '../model/words.ts'
import { openSqlite } from '../storage/sqlite.ts'
import { canary } from '../testing/canary.ts'

let folder: string
let storage: Storage
/** What comes before a transaction that is to be on disk; what it throws is what the database says. */
let before: (write: () => Promise<unknown>) => Promise<unknown>
let house: TestHouse
let upstream: Upstream

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  storage = await openSqlite(join(folder, 'vault.db'))
  before = (write) => write()
  const made = renewingFlow()
  upstream = made.upstream
  house = await openTestHouse({
    flows: [apiKeyFlow, made.flow],
    providers: [PRACTICE],
    storage: {
      ...storage,
      transaction: (durability, work, options) => {
        const write = () => storage.transaction(durability, work, options)
        return (durability === 'synced' ? before(write) : write()) as ReturnType<typeof write>
      },
    },
  })
  await house.owner.connect({ provider: 'practice' })
})

afterEach(async () => {
  await house.close()
  await leave(folder)
})

const lend = async (more = {}) => (await house.owner.lend({ address: 'practice', ...more })).token.reveal()
const account = async () => (await house.owner.accounts()).find(({ providerId }) => providerId === 'practice')
const trouble = (code: ErrorCode) => async () => {
  throw new ValetkeyError(code, 'of the provider')
}

/** So many seconds before its end. */
function passUntil(secondsLeft: number): void {
  house.clock.pass({ seconds: (upstream.lifeSeconds ?? 0) - secondsLeft })
}

/** Stops the next renewal in its middle, until it is let go on. */
function stopped() {
  const [there, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  upstream.meanwhile = async () => {
    upstream.meanwhile = async () => {}
    there.resolve()
    await goOn.promise
  }
  return { there: there.promise, goOn: goOn.resolve }
}

describe('a token that soon dies', () => {
  it.each([
    { lives: 3600, asked: undefined, kept: 301, renewed: 300 },
    { lives: 600, asked: undefined, kept: 61, renewed: 60 },
    { lives: 30, asked: undefined, kept: 4, renewed: 3 },
    { lives: 5, asked: undefined, kept: 3, renewed: 2 },
    { lives: 3600, asked: 300, kept: 301, renewed: 300 },
    { lives: 3600, asked: 900, kept: 901, renewed: 900 },
    { lives: 3600, asked: 10, kept: 11, renewed: 10 },
    { lives: 3600, asked: 0, kept: 3, renewed: 2 },
  ])(
    'of $lives s, $asked s asked for, is lent with $kept s left and renewed with $renewed s',
    async (row) => {
      upstream.lifeSeconds = row.lives
      await house.owner.reconnect('practice')
      const { token } = upstream
      passUntil(row.kept)
      expect([await lend({ minValidity: row.asked }), upstream.asked]).toEqual([token, 0])
      house.clock.pass({ seconds: row.kept - row.renewed })
      expect(await lend({ minValidity: row.asked })).toBe(upstream.token)
      expect([upstream.token === token, upstream.asked]).toEqual([false, 1])
      expect(await account()).toMatchObject({
        status: 'connected',
        tokenExpiresAt: new Date(house.clock.now().getTime() + row.lives * 1000),
      })
    },
  )

  it('is not renewed for whoever asks for more than it ever lives', async () => {
    for (let n = 0; n < 3; n += 1)
      expect(await refusal(house.owner.lend({ address: 'practice', minValidity: 3600 }))).toMatchObject({
        code: 'token-expired',
      })
    expect(upstream.asked).toBe(0)
    passUntil(300)
    await refusal(house.owner.lend({ address: 'practice', minValidity: 3600 }))
    expect(upstream.asked).toBe(1)
  })

  it('is renewed once for a hundred callers, with one line on record, and all have the same', async () => {
    await house.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never' })
    passUntil(0)
    const { there, goOn } = stopped()
    const desks = Array.from({ length: 100 }, (_, n) => (n % 2 === 0 ? house.owner : house.as('app:reports')))
    const all = Promise.all(desks.map((desk) => desk.lend({ address: 'practice' })))
    await there
    goOn()
    expect(new Set((await all).map(({ token }) => token.reveal()))).toEqual(new Set([upstream.token]))
    expect(upstream.asked).toBe(1)
    const entries = await house.owner.audit({ verb: 'refresh', limit: 1000 })
    expect(entries.map(({ outcome, caller, proof }) => [outcome, caller, proof])).toEqual([
      ['done', 'person:owner', 'broker'],
      ['opened', 'person:owner', 'broker'],
    ])
  })

  it('is not handed out before its successor is on disk', async () => {
    passUntil(0)
    const { there, goOn } = stopped()
    const written = Promise.withResolvers<void>()
    const lent = lend()
    await there
    before = async (write) => {
      await written.promise
      return write()
    }
    goOn()
    expect(await Promise.race([lent, wait(100)])).toBeUndefined()
    expect((await account())?.tokenExpiresAt).toEqual(house.clock.now())
    written.resolve()
    expect(await lent).toBe(upstream.token)
  })

  it('is not lost when the database is away for a moment', async () => {
    passUntil(0)
    const { there, goOn } = stopped()
    const lent = lend()
    await there
    let away = 2
    before = async (write) => {
      away -= 1
      if (away >= 0) throw new ValetkeyError('network-error', 'the database cannot be reached')
      return write()
    }
    goOn()
    expect([await lent, upstream.asked]).toEqual([upstream.token, 1])
    passUntil(0)
    expect([await lend(), upstream.asked]).toEqual([upstream.token, 2])
  })

  it('is taken as written when only the word of it was lost', async () => {
    passUntil(0)
    const { there, goOn } = stopped()
    const lent = lend()
    await there
    before = async (write) => {
      before = (next) => next()
      await write()
      throw new ValetkeyError('network-error', 'the connection broke; it may or may not have been kept')
    }
    goOn()
    expect([await lent, upstream.asked, upstream.ended]).toEqual([upstream.token, 1, []])
    expect(await lend()).toBe(upstream.token)
  })

  it('is no other one than ours when two of us bring it at the same moment', async () => {
    passUntil(0)
    const { there, goOn } = stopped()
    const lent = refusal(lend())
    await there
    let away = true
    before = async (write) => {
      if (away) throw new ValetkeyError('network-error', 'the database cannot be reached')
      house.clock.pass({ seconds: 1 })
      return write()
    }
    goOn()
    expect(await lent).toMatchObject({ code: 'not-recorded' })
    away = false
    const all = await Promise.all([lend(), lend(), house.owner.refresh('practice').then(() => lend())])
    await wait(1000)
    expect(new Set([...all, await lend()])).toEqual(new Set([upstream.token]))
    await house.tick()
    expect([upstream.ended, (await account())?.status]).toEqual([[], 'connected'])
  }, 60_000)

  it('tells what cannot be written, and hands out nothing', async () => {
    passUntil(0)
    const { there, goOn } = stopped()
    const lent = refusal(lend())
    await there
    before = async () => {
      before = (write) => write()
      throw new ValetkeyError('disk-full', 'the disk is full')
    }
    goOn()
    expect(await lent).toMatchObject({ code: 'disk-full' })
  })
})

describe('trouble that may pass', () => {
  const CODES: readonly ErrorCode[] = [
    'network-error',
    'connect-timeout',
    'answer-timeout',
    'server-error',
    'rate-limited',
    'bad-answer',
    'response-too-large',
    'exchange-failed',
    'provider-not-configured',
    'refresh-not-available',
  ]

  it.each(CODES)('ends nothing: %s', async (code) => {
    const { token } = upstream
    const kept = upstream.kept
    passUntil(30)
    upstream.meanwhile = trouble(code)
    expect(await lend()).toBe(token)
    expect(await refusal(lend({ minValidity: 60 }))).toMatchObject({ code })
    const { asked } = upstream
    expect(await account()).toMatchObject({ status: 'failing', reason: 'of the provider' })
    const [entry] = await house.owner.audit({ verb: 'refresh' })
    expect(entry).toMatchObject({ outcome: 'failed', code })
    house.clock.pass({ seconds: 0.5 })
    expect(await refusal(lend({ minValidity: 60 }))).toMatchObject({ code })
    expect(upstream.asked).toBe(asked)
    upstream.meanwhile = async () => {}
    upstream.kept = kept
    house.clock.pass({ hours: 2 })
    expect(await lend()).toBe(upstream.token)
    expect(await account()).toMatchObject({ status: 'connected', reason: null })
  })

  it('is told once when it begins and once when it is over', async () => {
    const told = heard()
    const { kept } = upstream
    passUntil(0)
    upstream.meanwhile = trouble('server-error')
    for (let n = 0; n < 5; n += 1) {
      await refusal(lend())
      house.clock.pass({ seconds: 1 })
    }
    upstream.meanwhile = async () => {}
    upstream.kept = kept
    house.clock.pass({ hours: 1 })
    await lend()
    expect((await told.stop()).map(({ name }) => name)).toEqual(['failing', 'connected'])
  })

  it('is asked about by hand at any time', async () => {
    const { kept } = upstream
    passUntil(0)
    upstream.meanwhile = trouble('server-error')
    await refusal(lend())
    upstream.meanwhile = async () => {}
    upstream.kept = kept
    expect(await house.owner.refresh('practice')).toMatchObject({ status: 'connected' })
  })

  it('leaves a provider alone for as long as it asked for', async () => {
    const { kept } = upstream
    passUntil(0)
    upstream.meanwhile = async () => {
      throw new ValetkeyError('rate-limited', 'too many', { retryAfter: 600 })
    }
    expect(await refusal(lend())).toMatchObject({ code: 'rate-limited' })
    upstream.meanwhile = async () => {}
    upstream.kept = kept
    house.clock.pass({ seconds: 599 })
    expect(await refusal(lend())).toMatchObject({ code: 'rate-limited' })
    expect(upstream.asked).toBe(1)
    house.clock.pass({ seconds: 1 })
    expect(await lend()).toBe(upstream.token)
  })

  it('does not show what went wrong in the house itself', async () => {
    passUntil(30)
    upstream.meanwhile = async () => {
      throw new TypeError('a mistake')
    }
    await expect(lend()).rejects.toThrow('a mistake')
  })
})

describe('a grant that is over for good', () => {
  const gone = trouble('access-revoked')

  it('is told with the reason, and its tokens are erased at once', async () => {
    const { id } = (await account()) ?? {}
    await house.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never' })
    passUntil(30)
    upstream.meanwhile = gone
    const over = {
      code: 'needs-reauth',
      message: 'practice has to be connected again: of the provider',
      hint: 'valetkey reconnect practice',
    }
    expect(await refusal(lend())).toEqual(over)
    expect(await account()).toMatchObject({
      id,
      status: 'needs-reauth',
      reason: 'of the provider',
      tokenExpiresAt: null,
    })
    const fields = await storage.list('sealed', { owner: 'person:owner', record: id ?? '' })
    expect(fields.map(({ field }) => field)).toEqual(['outline'])
    expect((await house.owner.bindings()).map(({ caller }) => caller)).toEqual(['app:reports'])
    expect((await house.owner.audit({ verb: 'connect' })).length).toBeGreaterThan(0)

    expect(await refusal(lend())).toMatchObject({ code: 'needs-reauth' })
    expect(await refusal(house.as('app:reports').lend({ address: 'practice' }))).toMatchObject({
      code: 'needs-reauth',
    })
    expect(await refusal(house.owner.refresh('practice'))).toEqual(over)
    expect(upstream.asked).toBe(1)

    upstream.meanwhile = async () => {}
    await house.owner.reconnect('practice')
    expect(await account()).toMatchObject({ id, status: 'connected', reason: null })
    await house.as('app:reports').lend({ address: 'practice' })
  })

  it('is told once, however many waited', async () => {
    passUntil(0)
    upstream.meanwhile = gone
    const told = heard()
    for (const refused of await Promise.all(Array.from({ length: 20 }, () => refusal(lend()))))
      expect(refused).toMatchObject({ code: 'needs-reauth' })
    expect(await told.stop()).toMatchObject([
      { name: 'needs-reauth', account: { reason: 'of the provider' } },
    ])
    expect(upstream.asked).toBe(1)
  })
})

function heard() {
  const all: ValetkeyEvent[] = []
  const stop = new AbortController()
  const done = (async () => {
    for await (const event of house.owner.events({ signal: stop.signal })) all.push(event)
  })()
  return {
    stop: async () => {
      await wait(100)
      stop.abort()
      await done
      return all
    },
  }
}

describe('what somebody else does in the middle of a renewal', () => {
  it('stands, when it was a reconnect', async () => {
    passUntil(0)
    const { there, goOn } = stopped()
    const lent = lend()
    await there
    await house.owner.reconnect('practice')
    const { token } = upstream
    goOn()
    expect([await lent, await lend(), upstream.ended]).toEqual([token, token, []])
    expect(await account()).toMatchObject({ status: 'connected' })
  })

  it('stands as well when the renewal came back saying that all is over', async () => {
    passUntil(0)
    upstream.meanwhile = async () => {
      upstream.meanwhile = async () => {}
      await house.owner.reconnect('practice')
      throw new ValetkeyError('access-revoked', 'of the older grant')
    }
    expect(await lend()).toBe(upstream.token)
    expect(await account()).toMatchObject({ status: 'connected', reason: null })
  })

  it('is not undone when it was a revocation: what came back is ended at the provider', async () => {
    passUntil(0)
    const { there, goOn } = stopped()
    const lent = refusal(lend())
    await there
    await house.owner.revoke('practice')
    goOn()
    expect(await lent).toMatchObject({ code: 'not-connected' })
    await house.tick()
    expect(upstream.ended).toContain(upstream.token)
    expect(await house.owner.accounts()).toEqual([])
    expect(await storage.list('sealed', { owner: 'person:owner', field: 'outline' })).toEqual([])
  })

  it('leaves alone when it was last used', async () => {
    const { there, goOn } = stopped()
    const renewing = house.owner.refresh('practice')
    await there
    house.clock.pass({ seconds: 7 })
    await lend()
    const used = house.clock.now()
    goOn()
    await renewing
    expect(await account()).toMatchObject({ lastUsedAt: used })
  })
})

describe('renewing by hand', () => {
  it('asks the provider whatever life is left, and stands on record as the caller’s', async () => {
    const { token } = upstream
    const shown = await house.owner.refresh('practice')
    expect(shown).toMatchObject({ status: 'connected' })
    expect(upstream.token).not.toBe(token)
    expect(await lend()).toBe(upstream.token)
    const [entry] = await house.owner.audit({ verb: 'refresh' })
    expect(entry).toMatchObject({ outcome: 'done', caller: 'person:owner' })
  })

  it('joins a renewal that is under way', async () => {
    passUntil(0)
    const { there, goOn } = stopped()
    const lent = lend()
    await there
    const refreshed = house.owner.refresh('practice')
    await wait(50)
    goOn()
    await Promise.all([lent, refreshed])
    expect(upstream.asked).toBe(1)
  })

  it('says what to do where there is nothing to renew', async () => {
    const key = `sk-${canary('openai')}`
    await house.owner.connect({
      provider: 'key',
      vars: { host: 'api.example.com' },
      fields: { key: new Secret(key) },
    })
    expect(await refusal(house.owner.refresh('key'))).toMatchObject({
      code: 'refresh-not-available',
      hint: 'valetkey rotate key',
    })
  })

  it('makes a token that names no end any more one that is only forwarded', async () => {
    upstream.lifeSeconds = null
    expect(await house.owner.refresh('practice')).toMatchObject({ forwardOnly: true, tokenExpiresAt: null })
    const entries = () => house.owner.audit({ verb: 'lend' })
    expect(await refusal(lend())).toMatchObject({ code: 'forward-only' })
    expect((await entries())[0]).toMatchObject({ outcome: 'refused' })
  })
})
