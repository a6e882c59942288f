import { randomBytes } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ValetkeyError } from '#client'
import type { Anchor } from '../model/gate.ts'
import { diskTrouble, errnoOf, unsafe } from './disk-trouble.ts'
import { privateFolder } from './folders.ts'

// Not every system knows these; there they are nothing.
const NOFOLLOW = constants.O_NOFOLLOW ?? 0
const NONBLOCK = constants.O_NONBLOCK ?? 0

/** Whole or not at all, whatever happens in between; on disk once it resolves. Only we may read it. */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const draft = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  try {
    await writeNew(draft, bytes)
    await rename(draft, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {})
    throw diskTrouble(error, path)
  }
}

async function writeNew(path: string, bytes: Uint8Array): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NOFOLLOW
  await using file = await open(path, flags, 0o600)
  await file.writeFile(bytes)
  await file.sync()
}

async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  await using file = await open(folder, constants.O_RDONLY)
  await file.sync()
}

export interface ReadOptions {
  /** Others may read it too, but never write it: for what a person writes by hand. */
  readonly readableByOthers?: boolean
}

/** Undefined where there is none. A file that somebody else could have put there is refused. */
export async function readOwn(path: string, options: ReadOptions = {}): Promise<Uint8Array | undefined> {
  const file = await openOwn(path)
  if (!file) return undefined
  await using _ = file
  checkOwn(path, await file.stat(), options)
  return await file.readFile()
}

/** Without waiting for a writer, should it be a pipe. */
async function openOwn(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | NOFOLLOW | NONBLOCK)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    if (errnoOf(error) === 'ELOOP') throw diskTrouble(error, path)
    throw new ValetkeyError('vault-unreadable', `${path} cannot be read`, {
      hint: `chmod 600 "${path}"`,
      cause: error,
    })
  }
}

function checkOwn(path: string, found: Stats, { readableByOthers = false }: ReadOptions): void {
  if (!found.isFile()) throw unsafe(`${path} is not a file`, `move ${path} away and try again`)
  if (process.getuid === undefined) return
  if (found.uid !== process.getuid() && found.uid !== 0) {
    throw unsafe(`${path} belongs to another user`, `move ${path} away and try again`)
  }
  if (found.mode & 0o022) throw unsafe(`others may write ${path}`, `look at it, then: chmod 600 "${path}"`)
  if (!readableByOthers && found.mode & 0o077) throw unsafe(`others may read ${path}`, `chmod 600 "${path}"`)
}

/** The files of a folder that end so, in the order of their names; none where there is no such folder. */
export async function readFolder(folder: string, ending: string): Promise<{ file: string; text: string }[]> {
  const names = await readdir(folder).catch(() => [])
  const wanted = names.filter((name) => name.endsWith(ending)).toSorted()
  const read = wanted.map(async (name) => {
    const bytes = await readOwn(join(folder, name), { readableByOthers: true })
    return { file: join(folder, name), text: new TextDecoder().decode(bytes) }
  })
  return Promise.all(read)
}

/** A file of text in a folder of ours, which is made where it is missing. */
export async function keepFile(path: string, text: string): Promise<void> {
  await privateFolder(dirname(path))
  await writeWhole(path, new TextEncoder().encode(text))
}

export function fileAnchor(path: string): Anchor {
  return {
    read: () => readOwn(path),
    write: async (bytes) => {
      await privateFolder(dirname(path))
      await writeWhole(path, bytes)
    },
  }
}
