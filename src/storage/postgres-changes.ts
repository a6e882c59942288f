import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { z } from 'zod'
import type { Changed } from '../model/storage.ts'
import { CONNECTION, settingsOf } from './postgres-pool.ts'
import { type Database, withSettings } from './postgres-url.ts'
import { CHANGES_CHANNEL } from './postgres-walls.ts'

const FIRST_PAUSE_MILLISECONDS = 100
const LONGEST_PAUSE_MILLISECONDS = 5_000
/** So often the line is tried: one that died without a word hears nothing for ever. */
const TRIED_EVERY_MILLISECONDS = 20_000
const ANSWER_MILLISECONDS = 5_000

type Hear = (what: Changed | 'missed') => void

const told = z.object({
  schema: z.string().optional(),
  table: z.enum(['accounts', 'bindings', 'vault', 'dataKeys', 'leases', 'keys', 'asks']),
  owner: z.string(),
  record: z.string(),
  by: z.string().nullable(),
  was: z.string().nullable(),
  is: z.string().nullable(),
})

/**
 * Whoever has a login may say anything on the line; what makes no sense only makes everybody look again.
 * Undefined where it is said of another vault, in another schema of the database.
 */
function changeIn({ self }: Database, here: string, payload = ''): Changed | 'missed' | undefined {
  try {
    const { by, schema = here, ...change } = told.parse(JSON.parse(payload))
    return schema === here ? ({ ...change, own: by === self } as Changed) : undefined
  } catch {
    return 'missed'
  }
}

/** Listens until the line breaks. */
async function listenBy(database: Database, heard: Hear, signal: AbortSignal): Promise<void> {
  const client = new Client({
    ...CONNECTION,
    connectionString: withSettings(database.url, settingsOf(database)),
    query_timeout: ANSWER_MILLISECONDS,
  })
  const { promise: broken, resolve } = Promise.withResolvers<void>()
  client.on('error', () => resolve())
  client.on('end', () => resolve())
  let here = ''
  client.on('notification', ({ payload }) => {
    const what = changeIn(database, here, payload)
    if (what !== undefined) heard(what)
  })
  signal.addEventListener('abort', () => resolve())
  const trying = setInterval(() => client.query('select 1').catch(() => resolve()), TRIED_EVERY_MILLISECONDS)
  trying.unref()
  try {
    await client.connect()
    here = (await client.query<{ name: string }>('select current_schema() as name')).rows[0]?.name ?? here
    await client.query(`listen ${CHANGES_CHANNEL}`)
    heard('missed')
    await broken
  } finally {
    clearInterval(trying)
    client.end().catch(() => undefined)
  }
}

/** Takes the line up again whenever it broke, and says each time that something may have been missed. */
function takeUp(database: Database, heard: Hear): () => void {
  const stopped = new AbortController()
  const { signal } = stopped

  async function goOn(): Promise<void> {
    let wait = FIRST_PAUSE_MILLISECONDS
    const hear: Hear = (what) => {
      wait = FIRST_PAUSE_MILLISECONDS
      if (!signal.aborted) heard(what)
    }
    while (!signal.aborted) {
      await listenBy(database, hear, signal).catch(() => undefined)
      await pause(wait, undefined, { signal, ref: false }).catch(() => undefined)
      wait = Math.min(wait * 2, LONGEST_PAUSE_MILLISECONDS)
    }
  }

  void goOn()
  return () => stopped.abort()
}

/** One line, and whoever wants to hear what is said on it. */
export function changesOf(database: Database): { listen(heard: Hear): () => void; stop(): void } {
  const listeners = new Set<{ readonly heard: Hear }>()
  let hangUp: (() => void) | undefined

  function leave(): void {
    if (listeners.size > 0) return
    hangUp?.()
    hangUp = undefined
  }

  return {
    listen(heard) {
      const listener = { heard }
      listeners.add(listener)
      // To whoever comes later the line has been there all along.
      if (hangUp !== undefined) queueMicrotask(() => listeners.has(listener) && heard('missed'))
      hangUp ??= takeUp(database, (what) => {
        for (const one of listeners) one.heard(what)
      })
      return () => {
        listeners.delete(listener)
        leave()
      }
    },
    stop() {
      listeners.clear()
      leave()
    },
  }
}
