import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ValetkeyError } from '#client'
import { type Caller, type CallerId, THE_PERSON } from '../src/model/caller.ts'
import type { Desk, KeeperDesk } from '../src/model/words.ts'
import { type Handed, type House, openHouse } from '../src/open.ts'
import { wherePaths } from '../src/where.ts'

/** A clock that stands still until a test lets time pass. */
export interface Clock {
  readonly now: () => Date
  pass(time: { readonly seconds?: number; readonly minutes?: number; readonly hours?: number }): void
}

/** A whole house in a home of its own, in this very process. */
export interface TestHouse {
  readonly home: string
  readonly vaultFile: string
  readonly clock: Clock
  readonly owner: Desk
  readonly keeper: KeeperDesk
  readonly broker: House['broker']
  as(id: CallerId): Desk
  keeperFor(id: CallerId): KeeperDesk
  /** Closes the house, does something with what lies on the disk, and opens it again. */
  meanwhile<R>(work: (file: string) => R | Promise<R>, env?: NodeJS.ProcessEnv): Promise<R>
  /** The same for whoever writes into the database behind Valetkey's back. */
  inFile<R>(work: (database: DatabaseSync) => R): Promise<R>
  close(): Promise<void>
}

export interface HouseOptions {
  /** The stand-ins, by provider. */
  readonly origins?: Readonly<Record<string, string>>
  readonly flows?: Handed['flows']
  readonly limits?: Handed['limits']
  /** What the clock shows at first; a provider with a clock of its own needs them to agree. */
  readonly start?: Date
  /** A provider to practise on that runs beside the house. */
  readonly practice?: Handed['practice']
  /** Providers of the owner's own. */
  readonly providers?: readonly { readonly id: string }[]
  readonly env?: NodeJS.ProcessEnv
  /** Instead of a file in its home. */
  readonly storage?: Handed['storage']
}

function clockAt(start: string | Date): Clock {
  let at = new Date(start).getTime()
  return {
    now: () => new Date(at),
    pass: ({ seconds = 0, minutes = 0, hours = 0 }) => {
      at += ((hours * 60 + minutes) * 60 + seconds) * 1000
    },
  }
}

function callerOf(id: CallerId): Caller {
  return { id, owner: THE_PERSON, proof: { door: 'test' } }
}

export async function openTestHouse(options: HouseOptions = {}): Promise<TestHouse> {
  const { origins = {}, flows, limits, practice, storage, providers = [] } = options
  const home = await makeHome(origins, providers)
  const clock = clockAt(options.start ?? '2027-03-01T12:00:00Z')
  const handed = { now: clock.now, limits, practice, storage, ...(flows && { flows }) }
  const open = (env: NodeJS.ProcessEnv = options.env ?? {}) => openHouse({ home, env }, handed)
  const { vaultFile } = wherePaths({ home, env: {} })
  let house = await open()

  async function meanwhile<R>(work: (file: string) => R | Promise<R>, env?: NodeJS.ProcessEnv): Promise<R> {
    await house.broker.close()
    try {
      return await work(vaultFile)
    } finally {
      house = await open(env)
    }
  }

  return {
    home,
    vaultFile,
    clock,
    get broker() {
      return house.broker
    },
    get owner() {
      return house.broker.as(callerOf(THE_PERSON))
    },
    get keeper() {
      return house.broker.keeper(callerOf(THE_PERSON))
    },
    as: (id) => house.broker.as(callerOf(id)),
    keeperFor: (id) => house.broker.keeper(callerOf(id)),
    meanwhile,
    inFile: (work) =>
      meanwhile((file) => {
        const database = new DatabaseSync(file)
        try {
          return work(database)
        } finally {
          database.close()
        }
      }),
    async close() {
      await house.broker.close()
      await rm(home, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

async function makeHome(origins: object, providers: readonly { readonly id: string }[]): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'valetkey-'))
  const config = join(home, 'config')
  await mkdir(join(config, 'providers'), { recursive: true, mode: 0o700 })
  await writeFile(join(config, 'config.json'), JSON.stringify({ origins }), { mode: 0o600 })
  for (const one of providers)
    await writeFile(join(config, 'providers', `${one.id}.json`), JSON.stringify(one), { mode: 0o600 })
  return home
}

/** How a promise was refused, in the words that a caller sees. */
export async function refusal(promise: Promise<unknown>) {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof ValetkeyError)) throw new Error('it was not refused', { cause: error })
  const { code, message, hint } = error
  return { code, message, hint }
}
