import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { FromProgram, Story } from './report.ts'

/** Beside this file in a clone, and beside what it is bundled into once built. */
const NAME = import.meta.url.endsWith('.ts') ? './program.ts' : './demo-program.js'
const PROGRAM = fileURLToPath(new URL(NAME, import.meta.url))

/** Processes that stand ready to begin at the same moment. */
export interface Programs {
  begin(): void
  /** Resolves when each of them was answered or is over. */
  answered(): Promise<void>
  /** What they have to tell once they are over; those that are, where not all of them are in time. */
  over(withinMs?: number): Promise<readonly Story[]>
  close(): Promise<void>
}

/** One for each list of words. They are not told anything else: no token, and no environment of ours. */
export async function openPrograms(words: readonly (readonly string[])[]): Promise<Programs> {
  const all = words.map(openOne)
  await Promise.all(all.map(({ ready }) => ready))
  return {
    begin: () => {
      for (const { child } of all) child.send('begin')
    },
    answered: async () => void (await Promise.all(all.map(({ answered }) => answered))),
    over: (withinMs) =>
      overOf(
        all.map(({ over }) => over),
        withinMs,
      ),
    close: async () => void (await Promise.all(all.map(({ child }) => end(child)))),
  }
}

function openOne(words: readonly string[]) {
  const { PATH = '' } = process.env
  const child = fork(PROGRAM, [...words], { env: { PATH }, execArgv: [], stdio: 'ignore' })
  const over = heard(child, 'over').then(({ story }) => story)
  return {
    child,
    ready: heard(child, 'ready'),
    answered: Promise.race([heard(child, 'answered'), over]),
    over,
  }
}

async function overOf(stories: readonly Promise<Story>[], withinMs?: number): Promise<readonly Story[]> {
  if (withinMs === undefined) return Promise.all(stories)
  const told: Story[] = []
  const all = stories.map(async (story) => void told.push(await story))
  await Promise.race([Promise.all(all), pause(withinMs, undefined, { ref: false })])
  return [...told]
}

type Said<S extends FromProgram['says']> = Extract<FromProgram, { says: S }>

function heard<S extends FromProgram['says']>(child: ChildProcess, says: S): Promise<Said<S>> {
  return new Promise((resolve, reject) => {
    child.on('message', (said: FromProgram) => {
      if (said.says === says) resolve(said as Said<S>)
    })
    child.once('error', reject)
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
