import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Storage } from '../model/storage.ts'
import type { transactions } from './postgres-transactions.ts'

// By the server's clock, of which there is only one.
const NOW = sql`(extract(epoch from clock_timestamp()) * 1000)::bigint`

/** A row says who has it, by a token that nobody else knows, and until when he is waited for. */
export function holdsInRows({ one }: ReturnType<typeof transactions>): Storage['hold'] {
  return async (owner, record, milliseconds) => {
    const token = randomUUID()
    const { rows } = await one(owner, false, (_, { db }) =>
      sql`
        insert into "rowLeases" as lease ("owner", "record", "token", "until")
        values (${owner}, ${record}, ${token}, ${NOW} + ${Math.trunc(milliseconds)})
        on conflict ("owner", "record") do update set "token" = excluded."token", "until" = excluded."until"
        where lease."until" <= ${NOW}
        returning "token"`.execute(db),
    )
    if (rows.length === 0) return undefined
    return {
      release: async () => {
        await one(owner, false, (_, { db }) =>
          sql`
            delete from "rowLeases"
            where "owner" = ${owner} and "record" = ${record} and "token" = ${token}`.execute(db),
        )
      },
    }
  }
}
