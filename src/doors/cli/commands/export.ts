import { type FileHandle, open, unlink } from 'node:fs/promises'
import { type Account, formatAddress } from '#client'
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
  const { desk, keeper } = await run.reach()
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
  await tell(run, await desk.accounts())
}

async function tell({ terminal }: Run, accounts: readonly Account[]): Promise<void> {
  if (accounts.length === 0) return terminal.note('there are no accounts here: the file holds none')
  const over = accounts.filter(({ status }) => status === 'needs-reauth')
  if (over.length > 0) await terminal.note(`to be connected again, wherever they are: ${named(over)}`)
  const renewed = accounts.filter((account) => !account.forwardOnly && !over.includes(account))
  if (renewed.length === 0) return
  await terminal.note(
    `renewed in one place only: ${named(renewed)}`,
    '  from their first use elsewhere on they are of no use here, and the other way round',
    '  hint: keep the file closed, or go on with these accounts there alone',
  )
}

function named(accounts: readonly Account[]): string {
  return accounts.map(({ providerId: provider, bucket }) => formatAddress({ provider, bucket })).join(', ')
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
