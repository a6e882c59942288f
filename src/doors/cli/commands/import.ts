import { readFile, stat } from 'node:fs/promises'
import type { Imported } from '#client'
import { usage } from '../failure.ts'
import type { Run } from '../run.ts'
import { passphrase } from './passphrase.ts'

/** An export is no larger. */
const MOST_BYTES = 64 * 1024 * 1024

interface Options {
  readonly replace?: true
  readonly passphraseStdin?: true
}

/** What was refused is named, and so the command failed; all the rest is here all the same. */
export async function importFrom(
  run: Run,
  path: string,
  { replace, passphraseStdin }: Options,
): Promise<void> {
  const document = await read(path)
  const secret = await passphrase(run, passphraseStdin)
  const { keeper } = await run.reach()
  const lines = await keeper.import(document, secret, replace ? { replace } : {})
  if (lines.some(({ outcome }) => outcome === 'refused')) run.leaveWith(1)
  if (run.json) return run.terminal.document(lines)
  await tell(run, lines, replace)
}

async function tell({ terminal }: Run, lines: readonly Imported[], replace?: true): Promise<void> {
  if (lines.length === 0) return terminal.note('there are no accounts in this file')
  await terminal.answer(...lines.map(inWords))
  if (!replace && lines.some(({ outcome }) => outcome === 'kept'))
    await terminal.note(
      '  hint: add --replace to take the imported ones in the place of those that were kept',
    )
  const renewed = lines.filter(({ outcome, renews }) => renews && isTaken(outcome))
  if (renewed.length > 0) await terminal.note(...renewedInOnePlace(renewed.map(({ address }) => address)))
}

function inWords({ outcome, address, why }: Imported): string {
  return `${outcome} ${address}${why === null ? '' : `: ${why}`}`
}

function renewedInOnePlace(addresses: readonly string[]): readonly string[] {
  return [
    `renewed in one place only: ${addresses.join(', ')}`,
    '  from their first use here on they are of no use where they came from, and the other way round',
    '  hint: use them here alone; what is ended there, by revoke or by erase, is ended here as well',
  ]
}

function isTaken(outcome: Imported['outcome']): boolean {
  return outcome === 'imported' || outcome === 'replaced'
}

async function read(path: string): Promise<string> {
  const { size } = await stat(path).catch(() => Promise.reject(notRead(path)))
  if (size > MOST_BYTES) throw usage(`${path} is too large for an export`, 'name what vault export wrote')
  return readFile(path, 'utf8').catch(() => Promise.reject(notRead(path)))
}

function notRead(path: string) {
  return usage(`${path} cannot be read`, 'name a file that vault export wrote')
}
