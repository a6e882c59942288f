import type { Readable } from 'node:stream'
import { styleText } from 'node:util'
import { ValetkeyError } from '#client'
import type { CliIo, Environment, Outlet } from './hands.ts'
import { asJson, plain } from './plain.ts'
import { type Prompts, terminalPrompts } from './prompts.ts'
import { table } from './table.ts'

const INPUT_LIMIT_BYTES = 64 * 1024

/** The two outlets kept apart: answers, and everything else. */
export interface Terminal {
  readonly interactive: boolean
  /** How many signs stand side by side where notes go; undefined where nobody knows. */
  readonly width?: number | undefined
  readonly prompts: Prompts
  /** Lines of an answer. */
  answer(...lines: readonly string[]): Promise<void>
  /** An answer as one JSON document. */
  document(value: unknown): Promise<void>
  /** An answer with a heading, in columns. */
  columns(heading: readonly string[], rows: readonly (readonly string[])[]): Promise<void>
  /** Bytes of an answer as they come. False once nobody reads them any more. */
  bytes(chunk: Uint8Array): Promise<boolean>
  /** The same beside the answer. */
  noteBytes(chunk: Uint8Array): Promise<boolean>
  /** Lines for the person, or for a log. */
  note(...lines: readonly string[]): Promise<void>
  paint(colour: 'red' | 'dim' | 'bold', text: string): string
  /** All of standard input. */
  input(): Promise<string>
  readonly stdin: Readable
}

export function createTerminal(io: CliIo, env: Environment): Terminal {
  const colourful = io.colour && !env['NO_COLOR']
  const out = writer(io.stdout)
  const err = writer(io.stderr)
  const paint: Terminal['paint'] = (colour, text) =>
    colourful ? styleText(colour, text, { validateStream: false }) : text
  const lines = (write: typeof out) => async (texts: readonly string[]) => {
    if (texts.length > 0) await write(texts.map((text) => `${plain(text)}\n`).join(''))
  }
  const answer = lines(out)
  const note = lines(err)

  return {
    interactive: io.interactive,
    width: io.stderr.isTTY ? io.stderr.columns : undefined,
    prompts: io.prompts ?? terminalPrompts(io.stdin, io.stderr),
    answer: (...texts) => answer(texts),
    note: (...texts) => note(texts),
    document: async (value) => void (await out(`${asJson(value)}\n`)),
    async columns(heading, rows) {
      const [head = '', ...body] = table([heading, ...rows], io.stdout.isTTY ? io.stdout.columns : undefined)
      await answer([paint('dim', head), ...body])
    },
    bytes: out,
    noteBytes: err,
    paint,
    input: () => readAll(io.stdin),
    stdin: io.stdin,
  }
}

/** Whoever stops reading, as `head` does, is no error; nothing more is written to them. */
function writer(outlet: Outlet): (chunk: string | Uint8Array) => Promise<boolean> {
  let open = true
  outlet.on('error', () => {
    open = false
  })
  return (chunk) =>
    new Promise((resolve) => {
      if (!open) return resolve(false)
      outlet.write(chunk, (error) => {
        if (error) open = false
        resolve(open)
      })
    })
}

async function readAll(stdin: Readable): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stdin) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Uint8Array)
    size += bytes.length
    if (size > INPUT_LIMIT_BYTES) {
      throw new ValetkeyError('too-large', 'more than 64 KiB came on standard input', {
        hint: 'give the secret alone, such as: valetkey connect openai --key-stdin < key.txt',
      })
    }
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}
