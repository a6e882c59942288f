import { setTimeout as pause } from 'node:timers/promises'
import { ValetkeyError } from '#client'
import type { ServeOptions } from './doors/cli/hands.ts'
import { harden } from './machine/harden.ts'
import { openBrowser } from './machine/open-browser.ts'
import type { Practice } from './practice/practice.ts'
import { type Serving, serve } from './serve.ts'
import { VERSION } from './version.ts'
import type { Where } from './where.ts'

const IDLE_CHECK_MS = 1000

/** Runs the broker in this process until a signal comes, or until nobody asked for so long. */
export async function attend(
  where: Where,
  { port, page, leaveAfterMinutes, open = false, json = false }: ServeOptions,
): Promise<void> {
  harden()
  const told = untilTold()
  const practice = page ? await practiceIfThere() : undefined
  const log = operatorLog()
  const serving = await serve(where, { port, practice, log: log.tell })
  try {
    const link = page ? await serving.newLink() : undefined
    if (json) tellPrograms(serving, link)
    else if (link) tellPeople(serving, link, practice === undefined ? KEY : PRACTICE)
    log.begin()
    if (link && open) await showPage(where, serving, link)
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
    if (!(error instanceof ValetkeyError && error.code === 'provider-not-configured')) throw error
    process.stderr.write(`there is no provider to practise on: ${error.message}\n  hint: ${error.hint}\n`)
    return undefined
  })
}

const KEY = ['connect openai', 'forward openai GET /v1/models']
const PRACTICE = ['connect practice', 'lend practice']

/** On standard error, once the broker stands: one that could not start says why, and nothing else. */
function operatorLog() {
  const early: string[] = []
  let write = (line: string): unknown => early.push(line)
  return {
    tell: (line: string) => void write(line),
    begin() {
      write = (line) => process.stderr.write(`${line}\n`)
      for (const line of early) write(line)
    },
  }
}

/** One line, and nothing else is ever said on standard output. */
function tellPrograms({ house }: Serving, link: URL | undefined): void {
  const { place: home, keySource, paths } = house
  const told = {
    url: link?.href ?? null,
    socket: paths.socket,
    home,
    keySource,
    pid: process.pid,
    version: VERSION,
  }
  process.stdout.write(`${JSON.stringify(told)}\n`)
}

function tellPeople({ house }: Serving, link: URL, first: readonly string[]): void {
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
}

async function showPage({ env }: Where, { house }: Serving, link: URL): Promise<void> {
  const browser = { env, platform: process.platform, folder: house.paths.run }
  await openBrowser(link, browser).catch(() => {})
}

/** Listened for from the first moment on, so that what was opened is closed again whenever it comes. */
function untilTold(): AbortSignal {
  const told = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => told.abort())
  return told.signal
}

/**
 * Whoever owes something to a provider stays until that is told, and as long as a caller has a socket of its
 * own here. Where nobody can say, another one takes it up.
 */
async function untilLeaving(
  { idleMs, house }: Serving,
  told: AbortSignal,
  afterMinutes?: number,
): Promise<void> {
  while (!told.aborted) {
    await pause(IDLE_CHECK_MS, undefined, { signal: told }).catch(() => {})
    if (afterMinutes === undefined || idleMs() <= afterMinutes * 60_000) continue
    if (house.broker.hasSockets()) continue
    if (!(await house.broker.owes().catch(() => false))) return
  }
}
