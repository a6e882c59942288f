import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { EVERY_OWNER, type Storage } from '../model/storage.ts'
import { standingOf } from './postgres-standing.ts'
import type { transactions } from './postgres-transactions.ts'
import type { Database } from './postgres-url.ts'
import type { AnyTables } from './schema.ts'

// By the server's clock, of which there is only one.
const NOW = sql`(extract(epoch from clock_timestamp()) * 1000)::bigint`

/** Long enough for somebody who lost his line to have another one, also when the server began anew. */
const GONE_MILLISECONDS = 3_000
/** Nobody asked for so long that it is not worth remembering. */
const FORGOTTEN_MILLISECONDS = 120_000
/** How often what nobody let go of is put away, once its time is long over. */
const SWEPT_EVERY_MILLISECONDS = 60 * 60_000

interface Asked {
  readonly owner: string
  readonly record: string
  readonly milliseconds: number
  readonly token: string
  readonly line: number | null
}

/** A holder whose line is gone. Whoever comes back does so with another line. */
interface Gone {
  readonly token: string
  readonly line: number
}

interface RowHolds {
  readonly hold: Storage['hold']
  stop(): void
}

/**
 * A row says who has it, by a token that nobody else knows, and until when he is waited for. It also says
 * by which line he is known to live: once that has been gone for a while and he did not name another one,
 * he is succeeded before his time.
 */
export function holdsInRows({ one }: ReturnType<typeof transactions>, database: Database): RowHolds {
  const held = tokensInTime()
  const standing = standingOf(database, held.tokens)
  const isLongGone = patience()

  let sweptAt = Number.NEGATIVE_INFINITY

  function sweepNowAndThen(): void {
    const now = performance.now()
    if (now - sweptAt < SWEPT_EVERY_MILLISECONDS) return
    sweptAt = now
    one(EVERY_OWNER, false, (_, { db }) => removeOld(db)).catch(() => undefined)
  }

  async function take(db: AnyTables, asked: Asked): Promise<boolean> {
    if (await takeFree(db, asked)) return true
    const gone = await goneHolder(db, asked)
    return isLongGone(asked, gone) && gone !== undefined && (await succeed(db, asked, gone))
  }

  return {
    async hold(owner, record, milliseconds) {
      const asked = { owner, record, milliseconds, token: randomUUID(), line: await standing.line() }
      sweepNowAndThen()
      held.add(asked.token, milliseconds)
      const letGo = () => held.remove(asked.token)
      try {
        if (!(await one(owner, false, (_, { db }) => take(db, asked)))) {
          letGo()
          return undefined
        }
      } catch (error) {
        letGo()
        throw error
      }
      // The line may have changed in between; where it does later, this row is among those named.
      if (standing.present !== asked.line) await standing.restate().catch(() => undefined)
      return {
        release: async () => {
          letGo()
          await one(owner, false, (_, { db }) => remove(db, asked))
        },
      }
    },
    stop: standing.stop,
  }
}

/** The tokens whose time is not over. */
function tokensInTime() {
  const ends = new Map<string, number>()
  return {
    add: (token: string, milliseconds: number) => void ends.set(token, performance.now() + milliseconds),
    remove: (token: string) => void ends.delete(token),
    tokens(): readonly string[] {
      const now = performance.now()
      for (const [token, end] of ends) if (end <= now) ends.delete(token)
      return [...ends.keys()]
    },
  }
}

/** Remembers since when a holder has been seen to be gone. */
function patience(): (asked: Asked, gone: Gone | undefined) => boolean {
  const seen = new Map<string, { readonly line: number; readonly since: number }>()
  return ({ owner, record }, gone) => {
    const what = JSON.stringify([owner, record])
    const now = performance.now()
    const before = seen.get(what)
    for (const [other, { since }] of seen) if (now - since > FORGOTTEN_MILLISECONDS) seen.delete(other)
    if (gone === undefined) seen.delete(what)
    else if (before?.line !== gone.line) seen.set(what, { line: gone.line, since: now })
    return gone !== undefined && before?.line === gone.line && now - before.since >= GONE_MILLISECONDS
  }
}

async function takeFree(db: AnyTables, { owner, record, token, milliseconds, line }: Asked) {
  const { rows } = await sql`
    insert into "rowLeases" as lease ("owner", "record", "token", "until", "line")
    values (${owner}, ${record}, ${token}, ${NOW} + ${Math.trunc(milliseconds)}, ${line})
    on conflict ("owner", "record") do update
    set "token" = excluded."token", "until" = excluded."until", "line" = excluded."line"
    where lease."until" <= ${NOW}
    returning "token"`.execute(db)
  return rows.length > 0
}

/** The lock of a line is free only when the line is no more. It is let go of at the end of this look. */
async function goneHolder(db: AnyTables, { owner, record }: Asked): Promise<Gone | undefined> {
  const { rows } = await sql<Gone & { gone: boolean }>`
    select "token", "line",
      case when "line" is null then false else pg_try_advisory_xact_lock_shared("line") end as gone
    from "rowLeases" where "owner" = ${owner} and "record" = ${record}`.execute(db)
  return rows.find(({ gone }) => gone)
}

async function succeed(db: AnyTables, { owner, record, ...mine }: Asked, gone: Gone): Promise<boolean> {
  const { rows } = await sql`
    update "rowLeases"
    set "token" = ${mine.token}, "line" = ${mine.line}, "until" = ${NOW} + ${Math.trunc(mine.milliseconds)}
    where "owner" = ${owner} and "record" = ${record}
      and "token" = ${gone.token} and "line" = ${gone.line}
    returning "token"`.execute(db)
  return rows.length > 0
}

/** Of somebody else who has it by now nothing is taken. */
async function remove(db: AnyTables, { owner, record, token }: Asked): Promise<void> {
  await sql`
    delete from "rowLeases"
    where "owner" = ${owner} and "record" = ${record} and "token" = ${token}`.execute(db)
}

/** Whose release never came here. Anybody could have taken these since. */
async function removeOld(db: AnyTables): Promise<void> {
  await sql`delete from "rowLeases" where "until" < ${NOW} - ${SWEPT_EVERY_MILLISECONDS}::bigint`.execute(db)
}
