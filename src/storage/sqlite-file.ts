import { randomUUID } from 'node:crypto'
import type { Stats } from 'node:fs'
import { access, chmod, constants, link, lstat, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ValetkeyError } from '#client'
import { held, readOnly, unreadable } from './sqlite-errors.ts'

// Closing any descriptor of a database file drops all locks by which this process holds it. So a
// file is looked into only while nobody here has it open, and `heldHere` remembers who has.

// The header of a SQLite database: magic (16) | … | application id (4 at 68) | …
const MAGIC = 'SQLite format 3\0'
const HEADER_LENGTH = 100
const LOG_HEADER_LENGTH = 32

export const logOf = (file: string): string => `${file}-wal`

function unsafe(message: string): ValetkeyError {
  return new ValetkeyError('unsafe-folder', message, {
    hint: 'the vault has to be a plain file of your own; set VALETKEY_HOME to a folder of yours',
  })
}

async function standing(file: string): Promise<Stats | undefined> {
  try {
    return await lstat(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function judge(file: string, stats: Stats, applicationId: number): Promise<void> {
  if (stats.isSymbolicLink()) throw unsafe('the vault file is a link to another place')
  if (!stats.isFile()) throw unreadable('there is something else where the vault file should be')
  const me = process.getuid?.()
  if (me !== undefined && stats.uid !== me) throw unsafe('the vault file belongs to somebody else')
  if (stats.size === 0) throw unreadable('the vault file is empty')
  await accessible(file)
  await accessible(dirname(file))
  await judgeHeader(file, applicationId)
  if ((stats.mode & 0o077) !== 0) await chmod(file, 0o600)
}

async function headerOf(file: string): Promise<Buffer> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEADER_LENGTH), 0, HEADER_LENGTH, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

/** SQLite makes itself at home in some files that are no database, so they never get that far. */
async function judgeHeader(file: string, applicationId: number): Promise<void> {
  const header = await headerOf(file)
  if (header.length < HEADER_LENGTH || header.toString('latin1', 0, 16) !== MAGIC)
    throw unreadable('the vault file is damaged, or it is no vault')
  if (header.readUInt32BE(68) !== applicationId) throw unreadable('the file is a database, but not a vault')
}

/**
 * SQLite reads what is missing at a file's end as zeros. Called while the file is held; what lies in
 * the log only is not in the file yet.
 */
export async function judgeLength(file: string, length: number): Promise<void> {
  const log = await standing(logOf(file))
  if ((log?.size ?? 0) > LOG_HEADER_LENGTH) return
  if ((await lstat(file)).size !== length) throw unreadable('the vault file was cut short')
}

async function accessible(path: string): Promise<void> {
  try {
    await access(path, constants.R_OK | constants.W_OK)
  } catch (error) {
    throw readOnly(error)
  }
}

export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function giveName(made: string, file: string): Promise<void> {
  try {
    await link(made, file)
    await rm(made)
  } catch (error) {
    // Somebody else was faster: theirs is the vault.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return await rm(made)
    if ((await standing(file)) !== undefined) throw error
    await rename(made, file)
  }
}

async function makeFile(file: string, make: (file: string) => Promise<void>): Promise<void> {
  if ((await standing(logOf(file))) !== undefined) {
    if ((await standing(file)) !== undefined) return
    throw unreadable('the vault file is missing, but its log is still there')
  }
  await accessible(dirname(file))
  const made = `${file}.new-${randomUUID()}`
  try {
    await (await open(made, 'wx', 0o600)).close()
    await make(made)
    await syncPath(made)
    await giveName(made, file)
    await syncPath(dirname(file))
  } finally {
    for (const path of [made, logOf(made)]) await rm(path, { force: true })
  }
}

const heldHere = new Set<string>()

/**
 * Sees to it that there is a database that can be opened, and gives what lets go of it. A new one
 * gets its name only when it is whole and on disk, so an empty or half-written file is always damage
 * and never a beginning.
 */
export async function takeFile(
  file: string,
  applicationId: number,
  make: (file: string) => Promise<void>,
): Promise<() => void> {
  if ((await standing(file)) === undefined) await makeFile(file, make)
  const stats = await lstat(file)
  const name = `${stats.dev}:${stats.ino}`
  if (heldHere.has(name)) throw held()
  heldHere.add(name)
  const letGo = () => void heldHere.delete(name)
  await judge(file, stats, applicationId).catch((error: unknown) => {
    letGo()
    throw error
  })
  return letGo
}
