import { randomBytes } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ValetkeyError } from '#client'
import { Secret } from '../../model/secret.ts'
import type { KeySource, Remembered } from '../../model/vault.ts'
import { KEY_LENGTH } from '../envelope.ts'
import { keyFrom } from './key-text.ts'

const NAME = /^master-[0-9a-f]{16}\.key$/
const MOST_BYTES = 128

function unsafe(path: string, why: string): ValetkeyError {
  return new ValetkeyError('unsafe-folder', `the key file is not safe: ${why}`, {
    hint: `make it yours alone: chown and chmod go-rwx ${path}`,
  })
}

function notThere(path: string, cause: unknown): ValetkeyError {
  return new ValetkeyError('wrong-key', 'the key file of the vault cannot be read', {
    hint: `the key was looked for at ${path}; put it back there`,
    cause,
  })
}

function notWritten(folder: string, cause: unknown): ValetkeyError {
  const full = (cause as NodeJS.ErrnoException).code === 'ENOSPC'
  return new ValetkeyError(full ? 'disk-full' : 'read-only', 'the key file cannot be written', {
    hint: `the key is kept in ${folder}; there has to be room in it, and you have to be allowed to write`,
    cause,
  })
}

/** Windows knows neither owners by number nor modes; there the folder's own rights decide. */
function judge(path: string, stats: Stats): void {
  const me = process.getuid?.()
  if (me === undefined) return
  if (stats.uid !== me) throw unsafe(path, 'it belongs to somebody else')
  if ((stats.mode & 0o077) !== 0) throw unsafe(path, 'others may read or write it')
}

async function judgeFolder(folder: string): Promise<void> {
  const stats = await lstat(folder)
  if (!stats.isDirectory()) throw unsafe(folder, 'its folder is a link, or no folder')
  judge(folder, stats)
}

async function withFile<R>(path: string, flags: number, work: (file: FileHandle) => Promise<R>): Promise<R> {
  const file = await open(path, flags | constants.O_NOFOLLOW, 0o600)
  try {
    return await work(file)
  } finally {
    await file.close()
  }
}

async function syncFolder(folder: string): Promise<void> {
  if (process.platform !== 'win32') await withFile(folder, constants.O_RDONLY, (handle) => handle.sync())
}

/** Whole and on disk under its own name, or not there at all. */
async function writeWhole(folder: string, name: string, text: string): Promise<void> {
  const made = join(folder, `.${name}.new`)
  try {
    await withFile(made, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, async (file) => {
      await file.writeFile(text)
      await file.sync()
    })
    await rename(made, join(folder, name))
    await syncFolder(folder)
  } catch (error) {
    await rm(made, { force: true }).catch(() => undefined)
    throw notWritten(folder, error)
  }
}

async function readKey(path: string): Promise<Buffer | undefined> {
  return await withFile(path, constants.O_RDONLY, async (file) => {
    const stats = await file.stat()
    if (!stats.isFile()) throw unsafe(path, 'it is no plain file')
    judge(path, stats)
    return stats.size > MOST_BYTES ? undefined : keyFrom(await file.readFile('utf8'))
  })
}

/** The key lies in a file of its own, in a folder that is not the vault's: a copied vault has no key. */
export function fileSource(folder: string): KeySource {
  function pathOf({ file }: Remembered): string {
    if (typeof file === 'string' && NAME.test(file)) return join(folder, file)
    throw new ValetkeyError('wrong-key', 'the vault does not say which key file is its own', {
      hint: `the key is looked for in ${folder}`,
    })
  }

  async function create() {
    await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      throw notWritten(folder, error)
    })
    await judgeFolder(folder)
    const key = randomBytes(KEY_LENGTH)
    const name = `master-${randomBytes(8).toString('hex')}.key`
    await writeWhole(folder, name, `${key.toString('base64url')}\n`)
    return { key: secretOf(key), remembered: { file: name } }
  }

  async function obtain(remembered: Remembered): Promise<Secret> {
    const path = pathOf(remembered)
    const key = await readKey(path).catch((error: NodeJS.ErrnoException) => {
      if (error instanceof ValetkeyError) throw error
      throw error.code === 'ELOOP' ? unsafe(path, 'it is a link') : notThere(path, error)
    })
    if (key === undefined) throw notThere(path, undefined)
    await judgeFolder(folder)
    return secretOf(key)
  }

  async function discard(remembered: Remembered): Promise<void> {
    const path = pathOf(remembered)
    try {
      await rm(path, { force: true })
      await syncFolder(folder)
    } catch (error) {
      throw new ValetkeyError('read-only', 'a key file that is not needed any more could not be removed', {
        hint: `remove it yourself: ${path}`,
        cause: error,
      })
    }
  }

  return { kind: 'file', create, obtain, discard }
}

function secretOf(key: Buffer): Secret {
  const secret = new Secret(key)
  key.fill(0)
  return secret
}
