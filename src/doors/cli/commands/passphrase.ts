import { usage } from '../failure.ts'
import type { Run } from '../run.ts'

export async function passphrase(run: Run, fromStdin: true | undefined): Promise<string> {
  const { interactive, prompts } = run.terminal
  if (interactive) return prompts.secret({ message: 'passphrase' })
  return fromInput(run, fromStdin)
}

/** Typed twice, because a mistyped one opens nothing ever after. */
export async function newPassphrase(run: Run, message: string, fromStdin: true | undefined): Promise<string> {
  const { interactive, prompts } = run.terminal
  if (!interactive) return fromInput(run, fromStdin)
  const first = await prompts.secret({ message })
  const second = await prompts.secret({ message: 'the same once more' })
  if (first !== second) throw usage('the two are not the same', 'try again')
  return first
}

async function fromInput({ terminal }: Run, fromStdin: true | undefined): Promise<string> {
  if (!fromStdin)
    throw usage(
      'a passphrase is needed, and nobody can be asked here',
      'add --passphrase-stdin < passphrase.txt',
    )
  const text = (await terminal.input()).replace(/\r?\n$/, '')
  if (text === '')
    throw usage('nothing came on standard input', 'give the passphrase there: … < passphrase.txt')
  return text
}
