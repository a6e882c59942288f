import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ValetkeyError } from '#client'
import { type Caller, type CallerId, THE_PERSON } from '../src/model/caller.ts'
import type { Desk, KeeperDesk } from '../src/model/words.ts'
import { type Handed, type House, openHouse } from '../src/open.ts'
import { wherePaths } from '../src/where.ts'
import { leave } from './leave.ts'

/** A clock that stands still until a test lets time pass. */
export interface Clock {
  readonly now: () => Date
  readonly monotonic: () => number
  pass(time: Time): void
  /** Somebody sets the clock; no time passes by that. */
  jump(time: Time): void
}

interface Time {
  readonly seconds?: number
  readonly minutes?: number
  readonly hours?: number
}

/** A whole house in a home of its own, in this very process. */
export interface TestHouse {
  readonly home: string
  readonly vaultFile: string
  readonly clock: Clock
  readonly owner: Desk
  readonly keeper: KeeperDesk
  readonly broker: House['broker']
  /** Has done at once all that is due. Nothing is done by itself: the clock stands still. */
  tick(): Promise<void>
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
  /** What else stands in its configuration. */
  readonly config?: object
  readonly flows?: Handed['flows']
  readonly mints?: Handed['mints']
  readonly limits?: Handed['limits']
  /** What the clock shows at first; a provider with a clock of its own needs them to agree. */
  readonly start?: Date
  /** A provider to practise on that runs beside the house. */
  readonly practice?: Handed['practice']
  /** Providers of the owner's own. */
  readonly providers?: readonly { readonly id: string }[]
  readonly env?: NodeJS.ProcessEnv
  /** By what the schedule is woken; by nothing, where it is left out. */
  readonly timer?: Handed['timer']
  /** Instead of a file in its home. */
  readonly storage?: Handed['storage']
}

function clockAt(start: string | Date): Clock {
  let at = new Date(start).getTime()
  let passed = 0
  return {
    now: () => new Date(at),
    monotonic: () => passed,
    pass(time) {
      at += inMilliseconds(time)
      passed += inMilliseconds(time)
    },
    jump(time) {
      at += inMilliseconds(time)
    },
  }
}

const neverRings = () => () => {}

function inMilliseconds({ seconds = 0, minutes = 0, hours = 0 }: Time): number {
  return ((hours * 60 + minutes) * 60 + seconds) * 1000
}

function callerOf(id: CallerId): Caller {
  return { id, owner: THE_PERSON, proof: { door: 'test', uid: process.getuid?.() ?? 0 } }
}

export async function openTestHouse(options: HouseOptions = {}): Promise<TestHouse> {
  const { origins = {}, flows, mints, limits, practice, storage, providers = [] } = options
  const home = await makeHome({ origins, ...options.config }, providers)
  const clock = clockAt(options.start ?? '2027-03-01T12:00:00Z')
  const { now, monotonic } = clock
  const { timer = neverRings } = options
  const handed = {
    now,
    monotonic,
    timer,
    limits,
    practice,
    storage,
    ...(flows && { flows }),
    ...(mints && { mints }),
  }
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
    tick: () => house.broker.tick(),
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
      await leave(home)
    },
  }
}

async function makeHome(config: object, providers: readonly { readonly id: string }[]): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'valetkey-'))
  const folder = join(home, 'config')
  await mkdir(join(folder, 'providers'), { recursive: true, mode: 0o700 })
  await writeFile(join(folder, 'config.json'), JSON.stringify(config), { mode: 0o600 })
  for (const one of providers)
    await writeFile(join(folder, 'providers', `${one.id}.json`), JSON.stringify(one), { mode: 0o600 })
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
