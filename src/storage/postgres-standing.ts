import { randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { Client, escapeLiteral } from 'pg'
import { CONNECTION, settingsOf } from './postgres-pool.ts'
import { type Database, withSettings } from './postgres-url.ts'
import { CROSSING, CROSSING_SETTING } from './postgres-walls.ts'

/** Of a line that broke: sooner than others conclude from it that this broker died. */
const AGAIN_MILLISECONDS = 250
const IDLE_AGAIN_MILLISECONDS = 2_000
/** How long the first to ask waits for the line to stand. */
const FIRST_MILLISECONDS = 1_000
const CONNECT_MILLISECONDS = 3_000
const ANSWER_MILLISECONDS = 2_000
const TRIED_EVERY_MILLISECONDS = 5_000
/**
 * So long a silent line is believed to stand while something is held, as the server may only be slow. It is
 * less than the server takes to find out that nobody is there any more.
 */
const SILENT_MILLISECONDS = 15_000

// The largest that `randomInt` gives; so many that no two lines ever have the same.
const KEYS = 2 ** 48 - 1

// The server does not end the line for its silence, and finds out soon when nobody is there any more.
const LINE = {
  idle_session_timeout: '0',
  tcp_keepalives_idle: '5',
  tcp_keepalives_interval: '3',
  tcp_keepalives_count: '5',
} as const

/** A connection that stands while this broker lives, with a lock on it that ends when it does. */
export interface Standing {
  /** By what others can tell that it stands; null where they cannot. Begun by the first who asks. */
  line(): Promise<number | null>
  /** Says again which line it is by which the holder of these tokens is known to live. */
  restate(): Promise<void>
  readonly present: number | null
  stop(): void
}

/**
 * Which broker is alive is told by the server, as it is the first to know: when a process dies, its
 * connections end and with them their locks. One that is slow, or stopped, keeps both. `tokens` are those
 * under which something is held right now: on a new line all of them are put under its new key.
 */
export function standingOf(database: Database, tokens: () => readonly string[]): Standing {
  const stopped = new AbortController()
  const { signal } = stopped
  const { promise: tried, resolve: settle } = Promise.withResolvers<void>()
  let begun = false
  let knowable = true
  let up: { readonly client: Client; readonly key: number } | undefined

  async function restate(): Promise<void> {
    const held = tokens()
    if (up === undefined || held.length === 0) return
    const list = held.map((token) => escapeLiteral(token)).join(', ')
    await up.client.query(`update "rowLeases" set "line" = ${up.key} where "token" in (${list})`)
  }

  async function stand(): Promise<void> {
    const client = new Client({
      ...CONNECTION,
      connectionTimeoutMillis: CONNECT_MILLISECONDS,
      connectionString: withSettings(database.url, { ...settingsOf(database), ...LINE }),
      query_timeout: ANSWER_MILLISECONDS,
    })
    const { promise: broken, resolve } = Promise.withResolvers<void>()
    client.on('error', () => resolve())
    client.on('end', () => resolve())
    signal.addEventListener('abort', () => resolve())
    let heardAt = performance.now()
    const isBelieved = () => tokens().length > 0 && performance.now() - heardAt < SILENT_MILLISECONDS
    const heard = () => {
      heardAt = performance.now()
    }
    const trying = setInterval(() => {
      const query_timeout = tokens().length > 0 ? SILENT_MILLISECONDS : ANSWER_MILLISECONDS
      const ask = { text: 'select 1', query_timeout }
      client.query(ask).then(heard, () => isBelieved() || resolve())
    }, TRIED_EVERY_MILLISECONDS)
    trying.unref()
    try {
      await client.connect()
      knowable = await isServerItself(client)
      if (!knowable) return
      const key = randomInt(1, KEYS)
      await client.query(`select pg_advisory_lock(${key})`)
      await client.query(`select set_config('${CROSSING_SETTING}', '${CROSSING}', false)`)
      up = { client, key }
      await restate()
      settle()
      await broken
    } finally {
      up = undefined
      clearInterval(trying)
      client.end().catch(() => undefined)
    }
  }

  async function goOn(): Promise<void> {
    while (!signal.aborted && knowable) {
      await stand().catch(() => undefined)
      settle()
      const wait = tokens().length > 0 ? AGAIN_MILLISECONDS : IDLE_AGAIN_MILLISECONDS
      await pause(wait, undefined, { signal, ref: false }).catch(() => undefined)
    }
  }

  return {
    async line() {
      if (!begun) void goOn()
      begun = true
      if (up === undefined) await Promise.race([tried, pause(FIRST_MILLISECONDS, undefined, { ref: false })])
      return up?.key ?? null
    },
    restate,
    get present() {
      return up?.key ?? null
    },
    stop: () => stopped.abort(),
  }
}

/** A pooler ends the server's connections when it likes, so by its own nobody knows who lives. */
async function isServerItself(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid === Reflect.get(client, 'processID')
}
