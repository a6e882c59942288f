import { type FileHandle, open, unlink } from 'node:fs/promises'
import { usage } from '../failure.ts'
import type { Run } from '../run.ts'
import { newPassphrase } from './passphrase.ts'

const OWNER_ONLY = 0o600

interface Options {
  readonly to: string
  readonly passphraseStdin?: true
}

/** Nothing is written over, and what could not be finished is not left lying. */
export async function exportTo(run: Run, { to, passphraseStdin }: Options): Promise<void> {
  const secret = await newPassphrase(run, 'a passphrase for the file', passphraseStdin)
  const { keeper } = await run.reach()
  const file = await create(to)
  try {
    await file.writeFile(await keeper.export(secret))
    await file.sync()
  } catch (error) {
    await unlink(to).catch(() => {})
    throw error
  } finally {
    await file.close()
  }
  if (run.json) return run.terminal.document({ file: to })
  await run.terminal.answer(`exported to ${to}`)
}

async function create(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', OWNER_ONLY)
  } catch (error) {
    throw notCreated(path, error)
  }
}

function notCreated(path: string, cause: unknown) {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'EEXIST') return usage(`${path} exists already, and is left as it is`, 'choose another file')
  return usage(`${path} cannot be written`, 'choose a file in a folder that is yours')
}
