import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { openTestHouse, type TestHouse } from '../../../test/house.ts'
import { leave } from '../../../test/leave.ts'
import { PRACTICE } from '../../../test/practice.ts'
import { renewingFlow, type Upstream } from '../../../test/renewing.ts'
import type { Storage } from '../../model/storage.ts'
import { openSqlite } from '../../storage/sqlite.ts'

let folder: string
let storage: Storage
let house: TestHouse
let upstream: Upstream
/** How often the database is away when an account is to be written. */
let away: number
/** Comes before a sign-in is done. */
let meanwhile: () => Promise<void>

beforeEach(async () => {
  away = 0
  meanwhile = async () => {}
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  storage = await openSqlite(join(folder, 'vault.db'))
  const made = renewingFlow()
  upstream = made.upstream
  const begin: typeof made.flow.begin = async (context) => {
    const turn = await made.flow.begin(context)
    await meanwhile()
    return turn
  }
  house = await openTestHouse({
    flows: [{ ...made.flow, begin }],
    providers: [PRACTICE],
    storage: {
      ...storage,
      transaction: (durability, work, options) =>
        storage.transaction(
          durability,
          (rows) =>
            work({
              ...rows,
              insert: async (table, all) => {
                if (table === 'accounts' && away > 0) {
                  away -= 1
                  throw new ValetkeyError('network-error', 'the database cannot be reached')
                }
                return rows.insert(table, all)
              },
            }),
          options,
        ),
    },
  })
})
afterEach(async () => {
  await house.close()
  await leave(folder)
})

describe('what a sign-in yielded', () => {
  it('is kept although the database was away for a moment: its code is spent', async () => {
    away = 2
    expect(await house.owner.connect({ provider: 'practice' })).toMatchObject({ state: 'done' })
    expect((await house.owner.lend({ address: 'practice' })).token.reveal()).toBe(upstream.token)
    expect(upstream.ended).toEqual([])
  })

  it('is ended at its provider where it came too late to be kept', async () => {
    const both = Promise.withResolvers<void>()
    let begun = 0
    meanwhile = async () => {
      begun += 1
      if (begun === 2) both.resolve()
      await both.promise
    }
    const connect = () => house.owner.connect({ provider: 'practice' })
    const ends = await Promise.allSettled([connect(), connect()])
    expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    await house.tick()
    const { token } = await house.owner.lend({ address: 'practice' })
    expect(upstream.ended).toHaveLength(1)
    expect(upstream.ended).not.toContain(token.reveal())
  })
})
