import type { Readable, Writable } from 'node:stream'
import { interrupted } from './failure.ts'

export interface Question {
  readonly message: string
  readonly optional?: boolean
  readonly signal?: AbortSignal
}

/** What a person can be asked at a terminal. Whoever turns away is `cancelled`. */
export interface Prompts {
  secret(question: Question): Promise<string>
  text(question: Question): Promise<string>
  choice(question: Question & { readonly choices: readonly string[] }): Promise<string>
  confirm(question: Question): Promise<boolean>
}

/** Loaded at the first question: most commands never ask one. */
export function terminalPrompts(input: Readable, output: Writable): Prompts {
  const load = () => import('@clack/prompts')
  const options = ({ message, optional, signal }: Question) => ({
    message,
    input,
    output,
    validate: (value: string | undefined) => (value || optional ? undefined : 'nothing was entered'),
    ...(signal && { signal }),
  })
  return {
    async secret(question) {
      const { password } = await load()
      return answered(await password({ ...options(question), mask: '•' }))
    },
    async text(question) {
      const { text } = await load()
      return answered(await text(options(question)))
    },
    async choice({ choices, ...question }) {
      const { select } = await load()
      const { validate: _, ...asked } = options(question)
      return answered(
        await select({ ...asked, options: choices.map((value) => ({ value, label: value })), maxItems: 12 }),
      )
    },
    async confirm(question) {
      const { confirm } = await load()
      const { validate: _, ...asked } = options(question)
      return answered(await confirm({ ...asked, active: 'yes', inactive: 'no', initialValue: false }))
    },
  }
}

/** The library answers with a symbol of its own for whoever turns away: at a prompt ctrl-c is a key, and no signal. */
function answered<T>(value: T): Exclude<T, symbol> {
  if (typeof value === 'symbol') throw interrupted()
  return value as Exclude<T, symbol>
}
