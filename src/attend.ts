import { setTimeout as pause } from 'node:timers/promises'
import { ValetkeyError } from '#client'
import type { ServeOptions } from './doors/cli/hands.ts'
import { harden } from './machine/harden.ts'
import { openBrowser } from './machine/open-browser.ts'
import type { Practice } from './practice/practice.ts'
import { type Serving, serve } from './serve.ts'
import type { Where } from './where.ts'

const IDLE_CHECK_MS = 1000

/** Runs the broker in this process until a signal comes, or until nobody asked for so long. */
export async function attend(
  where: Where,
  { port, page, leaveAfterMinutes, open = false }: ServeOptions,
): Promise<void> {
  harden()
  const told = untilTold()
  const practice = page ? await practiceIfThere() : undefined
  const serving = await serve(where, { port, practice })
  try {
    if (page) await welcome(where, serving, { open, first: practice === undefined ? KEY : PRACTICE })
    await untilLeaving(serving, told, leaveAfterMinutes)
  } finally {
    await serving.close()
    await practice?.close()
  }
}

/** The provider to practise on is optional: without its package everything else works. */
async function practiceIfThere(): Promise<Practice | undefined> {
  const { openPractice } = await import('./practice/practice.ts')
  return openPractice().catch((error: unknown) => {
    if (error instanceof ValetkeyError && error.code === 'provider-not-configured') return undefined
    throw error
  })
}

const KEY = ['connect openai', 'forward openai GET /v1/models']
const PRACTICE = ['connect practice', 'lend practice']

interface Welcome {
  readonly open: boolean
  readonly first: readonly string[]
}

async function welcome({ env }: Where, { newLink, house }: Serving, { open, first }: Welcome): Promise<void> {
  const link = await newLink()
  process.stdout.write(`${link.href}\n`)
  process.stderr.write(
    [
      '',
      'the link works once, and for two minutes; valetkey open makes another',
      `the vault is in ${house.place}`,
      ...(house.keySource === 'file' ? [`its key is a file in ${house.paths.keyFolder}`] : []),
      'try, in another terminal:',
      ...[...first, 'audit verify'].map((words) => `  npx valetkey ${words}`),
      '',
    ].join('\n'),
  )
  const browser = { env, platform: process.platform, folder: house.paths.run }
  if (open) await openBrowser(link, browser).catch(() => {})
}

/** Listened for from the first moment on, so that what was opened is closed again whenever it comes. */
function untilTold(): AbortSignal {
  const told = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => told.abort())
  return told.signal
}

async function untilLeaving({ idleMs }: Serving, told: AbortSignal, afterMinutes?: number): Promise<void> {
  while (!told.aborted) {
    await pause(IDLE_CHECK_MS, undefined, { signal: told }).catch(() => {})
    if (afterMinutes !== undefined && idleMs() > afterMinutes * 60_000) return
  }
}
