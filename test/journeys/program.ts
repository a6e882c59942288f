import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ended, type RealHome, until } from '../real.ts'

const PROGRAM = fileURLToPath(new URL('./children/program.ts', import.meta.url))

/** A process of its own that uses the library. */
export interface Program {
  readonly pid: number
  /** Everything that it said without being asked. */
  readonly said: readonly Record<string, unknown>[]
  // biome-ignore lint/suspicious/noExplicitAny: what comes back is looked at by the test
  tell(verb: string, ...words: readonly string[]): Promise<any>
  /** Its exit code, once it has closed the vault and left. */
  close(): Promise<number | null>
}

interface Answer {
  readonly id?: number
  readonly value?: unknown
  readonly code?: string
}

/** Resolves once the program has opened the vault. */
export async function startProgram(home: RealHome, as?: string): Promise<Program> {
  const child = fork(PROGRAM, as === undefined ? [] : [as], {
    env: home.env,
    execPath: process.execPath,
    execArgv: [],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const waiting = new Map<number, (answer: Answer) => void>()
  const said: Record<string, unknown>[] = []
  child.on('message', (message: Answer & Record<string, unknown>) => {
    if (message.id === undefined) said.push(message)
    else waiting.get(message.id)?.(message)
  })
  home.own(child)
  const gone = once(child, 'exit').then(() => Promise.reject(new Error('the program has ended')))
  gone.catch(() => {})

  async function tell(verb: string, ...words: readonly string[]) {
    const id = waiting.size + 1
    const { promise, resolve } = Promise.withResolvers<Answer>()
    waiting.set(id, resolve)
    child.send({ id, verb, words })
    const { value, code } = await Promise.race([promise, gone])
    if (code !== undefined) throw new Error(code)
    return value
  }

  await Promise.race([until(() => said.length > 0), gone])
  return {
    pid: child.pid ?? 0,
    said,
    tell,
    async close() {
      await tell('close')
      return await ended(child)
    },
  }
}
