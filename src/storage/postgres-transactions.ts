import { setTimeout as pause } from 'node:timers/promises'
import type { Pool, PoolClient } from 'pg'
import type { Durability, Rows, TransactionOptions } from '../model/storage.ts'
import { gotInTheWay, inDoubt, isGone, type Meaning, wasThereAlready } from './postgres-errors.ts'
import { inNameOf, type Line, lines, namedRows, type Whose } from './postgres-line.ts'
import { rowsOfOne } from './rows.ts'

const MOST_TRIES = 50
const PAUSE_MILLISECONDS = 5
const LONGEST_PAUSE_MILLISECONDS = 50

// Whose turn it is, is a lock on a table which is hardly ever written to: one on the record itself would
// stand in the way of its vacuum. It is taken before the snapshot, so what the one before wrote is seen.
const TURNS = { audit: 'lock table "auditBase" in exclusive mode' } as const

type Work<R> = (rows: Rows, line: Line) => Promise<R>

interface Attempt<R> {
  /** What is said before the work's first question, and sent together with it. */
  readonly begin: string
  /** In whose name that leaves the first question. */
  readonly name?: Whose
  /** Nobody waits for the end of what was only looked at. */
  readonly reading: boolean
  readonly work: Work<R>
  /** How often the work may be done, by what went wrong with it. */
  readonly tries: (failure: unknown) => number
}

/** What came of one attempt. A failure is nobody's to hear of yet while there may be another. */
type Outcome<R> = { readonly result: R } | { readonly failure: unknown; readonly tries: number }

interface Transactions {
  /** One question, or one change. */
  one<R>(whose: Whose, reading: boolean, work: Work<R>): Promise<R>
  many<R>(durability: Durability, work: Work<R>, options?: TransactionOptions): Promise<R>
}

interface TransactionParts {
  readonly pool: Pool
  readonly place: string
  readonly meaningOf: Meaning
}

/**
 * One statement sees what was committed when it began, and waits for whoever writes the same row. Many
 * see one moment (repeatable read), so what is read together was true together; who would write over
 * what he did not see is stopped by the database and begins again. What is decided by rows which are
 * only read is decided by a generation, a key or a turn, so nothing stricter is needed.
 */
export function transactions({ pool, place, meaningOf }: TransactionParts): Transactions {
  const lineOf = lines(meaningOf)

  async function attempt<R>({ begin, name, reading, work, tries }: Attempt<R>): Promise<Outcome<R>> {
    const client = await pool.connect()
    const line = lineOf(client)
    const own = rowsOfOne(namedRows(line, name))
    const doing = async () => await work(own.rows, line)
    const [begun, done] = await Promise.allSettled([client.query(begin), doing()])
    own.end()
    const stopped = begun.status === 'rejected' ? begun.reason : own.refusal
    if (stopped !== undefined || done.status === 'rejected') {
      await rollBack(client)
      const reason = done.status === 'rejected' ? done.reason : stopped
      return { failure: reason, tries: Math.max(tries(stopped), tries(reason)) }
    }
    const ended = commit(client)
    if (!reading) await ended
    else ended.catch(() => undefined)
    return { result: done.value }
  }

  async function commit(client: PoolClient): Promise<void> {
    try {
      await client.query('commit')
      client.release()
    } catch (error) {
      client.release(true)
      throw isGone(error) ? inDoubt(place, error) : error
    }
  }

  async function untilDone<R>(what: Attempt<R>): Promise<R> {
    for (let count = 1; ; count += 1) {
      const outcome = await attempt(what)
      if ('result' in outcome) return outcome.result
      if (count >= outcome.tries) throw outcome.failure
      await pause(Math.random() * Math.min(PAUSE_MILLISECONDS * count, LONGEST_PAUSE_MILLISECONDS))
    }
  }

  async function inWords<R>(what: Attempt<R>): Promise<R> {
    try {
      return await untilDone(what)
    } catch (error) {
      throw meaningOf(error) ?? error
    }
  }

  return {
    one: (whose, reading, work) =>
      inWords({
        begin: `begin isolation level read committed; ${inNameOf(whose)}`,
        name: whose,
        reading,
        work,
        tries: triesOfOne,
      }),
    many: (durability, work, { turn } = {}) =>
      inWords({
        begin: [
          'begin isolation level repeatable read',
          ...(durability === 'soon' ? ['set local synchronous_commit = off'] : []),
          ...(turn === undefined ? [] : [TURNS[turn]]),
        ].join('; '),
        reading: false,
        work,
        tries: triesOfMany,
      }),
  }
}

/** Until the commit was sent nothing was done, so a connection that broke before it costs nothing but time. */
function triesOfOne(failure: unknown): number {
  if (gotInTheWay(failure)) return MOST_TRIES
  return isGone(failure) ? 2 : 1
}

function triesOfMany(failure: unknown): number {
  return wasThereAlready(failure) ? 2 : triesOfOne(failure)
}

async function rollBack(client: PoolClient): Promise<void> {
  try {
    await client.query('rollback')
    client.release()
  } catch {
    client.release(true)
  }
}
