import type { Stats } from 'node:fs'
import { chmod, lstat, mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { ValetkeyError } from '#client'
import { diskTrouble, errnoOf, unsafe } from './disk-trouble.ts'

const STICKY = 0o1000
const OTHERS_MAY_WRITE = 0o002
const SOMEBODY_ELSE_MAY_WRITE = 0o022
const SOMEBODY_ELSE_MAY = 0o077

export interface FolderOptions {
  /** False where the folder's name is not ours: it might be a whole home that is shut to others then. */
  readonly tighten?: boolean
}

/**
 * Makes the folder if it is missing, and promises that it is ours and closed to everybody else.
 * A folder that others could only read is closed quietly: they can have changed nothing in it. One
 * that others could write is refused, since what lies in it may no longer be ours.
 */
export async function privateFolder(path: string, { tighten = true }: FolderOptions = {}): Promise<void> {
  const folder = resolve(path)
  try {
    // The way that is there, before anything is made on it; then all of it.
    await checkWayTo(folder)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await checkWayTo(folder)
    await checkFolder(folder, tighten)
  } catch (error) {
    throw diskTrouble(error, folder)
  }
}

/**
 * Makes a folder that others may pass through and see nothing of, for what each in it guards by itself. It
 * is ours, and nobody else can change what lies in it.
 */
export async function passableFolder(path: string): Promise<void> {
  const folder = resolve(path)
  try {
    await checkWayTo(folder)
    await mkdir(folder, { recursive: true, mode: 0o711 })
    await checkWayTo(folder)
    await checkFolder(folder, undefined)
    await chmod(folder, 0o711)
  } catch (error) {
    throw diskTrouble(error, folder)
  }
}

async function checkFolder(folder: string, tighten: boolean | undefined): Promise<void> {
  const found = await lstat(folder)
  if (found.isSymbolicLink()) {
    throw unsafe(`${folder} is a symbolic link`, `replace ${folder} by the folder it points to`)
  }
  if (!found.isDirectory()) {
    throw unsafe(`${folder} is not a folder`, `move ${folder} away and try again`)
  }
  if (process.getuid === undefined) return
  if (found.uid !== process.getuid()) {
    throw unsafe(`${folder} belongs to another user`, 'set VALETKEY_HOME to a folder of your own')
  }
  if (found.mode & STICKY) {
    throw unsafe(`${folder} is shared with other users`, 'choose a folder of your own inside it')
  }
  if (found.mode & SOMEBODY_ELSE_MAY_WRITE) {
    throw unsafe(`others may write into ${folder}`, `look at what is in it, then: chmod 700 "${folder}"`)
  }
  if (tighten === undefined || !(found.mode & SOMEBODY_ELSE_MAY)) return
  if (!tighten) throw unsafe(`others may look into ${folder}`, 'choose a folder that only you may enter')
  await chmod(folder, 0o700)
}

/**
 * Below a folder that everybody writes, such as /tmp, each step has to be ours or root's: whoever
 * was there first could otherwise exchange what lies further down. Elsewhere the way is the
 * operator's, but it may not lead through a folder in which anybody can rename anything. Where it has to be
 * ours, that holds of every step of it.
 */
export async function checkWayTo(folder: string, { isOurs = false } = {}): Promise<void> {
  if (process.getuid === undefined) return
  let shared = isOurs
  for (const step of stepsTo(folder)) {
    const link = await lstat(step).catch(missing)
    if (link === undefined) return
    if (shared && !trusted(link)) throw elsewhere(step)
    const there = await stat(step)
    if (shared && !trusted(there)) throw elsewhere(step)
    if (there.mode & OTHERS_MAY_WRITE) {
      if (!(there.mode & STICKY)) {
        throw unsafe(`everybody may write into ${step}`, `chmod o-w "${step}"`)
      }
      shared = true
    }
  }
}

function missing(error: unknown): undefined {
  if (errnoOf(error) !== 'ENOENT') throw error
}

function elsewhere(step: string): ValetkeyError {
  return unsafe(`${step} belongs to another user`, 'set VALETKEY_HOME to a folder of your own')
}

function stepsTo(folder: string): readonly string[] {
  const parent = dirname(folder)
  return parent === folder ? [] : [...stepsTo(parent), parent]
}

function trusted(found: Stats): boolean {
  return found.uid === 0 || found.uid === process.getuid?.()
}
