import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
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

function changeIn(payload: string | undefined): Changed | 'missed' {
  try {
    const { owner, record } = JSON.parse(payload ?? '')
    if (typeof owner === 'string' && typeof record === 'string') return { owner, record } as Changed
  } catch {}
  return 'missed'
}

/** Listens until the line breaks. */
async function listen(database: Database, heard: Hear, signal: AbortSignal): Promise<void> {
  const client = new Client({
    ...CONNECTION,
    connectionString: withSettings(database.url, settingsOf(database)),
    query_timeout: ANSWER_MILLISECONDS,
  })
  const { promise: broken, resolve } = Promise.withResolvers<void>()
  client.on('error', () => resolve())
  client.on('end', () => resolve())
  client.on('notification', ({ payload }) => heard(changeIn(payload)))
  signal.addEventListener('abort', () => resolve())
  const trying = setInterval(() => client.query('select 1').catch(() => resolve()), TRIED_EVERY_MILLISECONDS)
  trying.unref()
  try {
    await client.connect()
    await client.query(`listen ${CHANGES_CHANNEL}`)
    heard('missed')
    await broken
  } finally {
    clearInterval(trying)
    client.end().catch(() => undefined)
  }
}

/** Takes the line up again whenever it broke, and says each time that something may have been missed. */
export function changesOf(database: Database, heard: Hear): () => void {
  const stopped = new AbortController()
  const { signal } = stopped

  async function goOn(): Promise<void> {
    let wait = FIRST_PAUSE_MILLISECONDS
    const hear: Hear = (what) => {
      wait = FIRST_PAUSE_MILLISECONDS
      if (!signal.aborted) heard(what)
    }
    while (!signal.aborted) {
      await listen(database, hear, signal).catch(() => undefined)
      await pause(wait, undefined, { signal, ref: false }).catch(() => undefined)
      wait = Math.min(wait * 2, LONGEST_PAUSE_MILLISECONDS)
    }
  }

  void goOn()
  return () => stopped.abort()
}
