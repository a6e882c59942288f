import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, lstat, realpath } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ValetkeyError } from '#client'
import { checkWayTo } from '../folders.ts'
import { unread } from './unread.ts'

const MOST_BYTES = 1024 * 1024
const SOMEBODY_ELSE_MAY_WRITE = 0o022

/** What every program needs to find its way; nothing of ours is among it. */
const PASSED_ON = [
  'HOME',
  'USER',
  'LOGNAME',
  'LANG',
  'LC_ALL',
  'LC_CTYPE',
  'TZ',
  'TMPDIR',
  'XDG_CONFIG_HOME',
  'XDG_RUNTIME_DIR',
  'DBUS_SESSION_BUS_ADDRESS',
]

/** Of our surroundings only what is named; a name that ends in `_` stands for all that begin so. */
export function surroundingsFor(env: NodeJS.ProcessEnv, more: readonly string[]): NodeJS.ProcessEnv {
  const names = [...PASSED_ON, ...more]
  const isWanted = (name: string) =>
    names.some((one) => name === one || (one.endsWith('_') && name.startsWith(one)))
  return Object.fromEntries(Object.entries(env).filter(([name]) => isWanted(name)))
}

/** A program that nobody but its user, or root, can have put there or can exchange. */
export async function refuseStrange(reference: string, program: string): Promise<void> {
  const found = await lstat(program).catch(() => undefined)
  if (found === undefined) throw unread(reference, 'there is no such program', 'check its path')
  if (found.isSymbolicLink())
    throw unread(reference, 'it is a symbolic link', 'name the program that it points to')
  if (!found.isFile()) throw unread(reference, 'it is no program', 'check its path')
  const mine = process.getuid?.()
  if (mine !== undefined && found.uid !== 0 && found.uid !== mine)
    throw unread(reference, 'the program belongs to another user', 'use one of your own')
  if (mine !== undefined && found.mode & SOMEBODY_ELSE_MAY_WRITE)
    throw unread(reference, 'others may write the program', `look at it, then: chmod go-w "${program}"`)
  await access(program, constants.X_OK).catch(() => {
    throw unread(reference, 'it may not be run', `chmod u+x "${program}"`)
  })
  await checkWays(program).catch((error: unknown) => {
    const why = error instanceof ValetkeyError ? error.message : `the way to ${dirname(program)} is not safe`
    throw unread(reference, why, 'move the program to a folder that is only yours')
  })
}

/** As it is written, and as it is with every link on it followed. */
async function checkWays(program: string): Promise<void> {
  for (const way of new Set([program, await realpath(program)])) await checkWayTo(way, { isOurs: true })
}

interface Running {
  readonly reference: string
  readonly program: string
  readonly words?: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly seconds: number
  /** What to do where it ends without having said anything. */
  readonly hint: string
}

/** What a program says, started without a shell. What it says on its error output is nobody's business. */
export async function saidBy({ reference, program, words = [], env, ...more }: Running): Promise<string> {
  const child = spawn(program, words, {
    env,
    cwd: '/',
    shell: false,
    stdio: ['ignore', 'pipe', 'ignore'],
    // A group of its own, so that what it started ends with it.
    detached: process.platform !== 'win32',
    windowsHide: true,
  })
  const bytes = await heard(child, reference, more).finally(() => endGroup(child))
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes).replace(/\r?\n$/, '')
  } catch {
    throw unread(reference, 'what it says is not text', 'it has to print the value as UTF-8')
  }
}

function heard(
  child: ChildProcess,
  reference: string,
  { seconds, hint }: Pick<Running, 'seconds' | 'hint'>,
): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const pieces: Buffer[] = []
  let size = 0
  const late = setTimeout(() => {
    reject(unread(reference, `it did not answer within ${seconds} seconds`, hint))
  }, seconds * 1000)
  child.stdout?.on('data', (piece: Buffer) => {
    size += piece.byteLength
    if (size > MOST_BYTES)
      reject(unread(reference, 'it says far too much', 'it has to print the value alone'))
    else pieces.push(piece)
  })
  child.once('error', () => reject(unread(reference, 'it could not be started', hint)))
  child.once('close', (code, signal) => {
    if (code === 0) resolve(Buffer.concat(pieces))
    else reject(unread(reference, signal === null ? `it ended with code ${code}` : 'it was ended', hint))
  })
  return promise.finally(() => clearTimeout(late))
}

/** Also whatever it left behind. */
function endGroup(child: ChildProcess): void {
  child.stdout?.destroy()
  if (child.pid === undefined) return
  try {
    if (process.platform === 'win32') child.kill('SIGKILL')
    else process.kill(-child.pid, 'SIGKILL')
  } catch {
    // There is nobody left.
  }
}
