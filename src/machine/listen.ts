import { once } from 'node:events'
import { chmod, lstat, open, rm, stat, unlink } from 'node:fs/promises'
import type { Server as HttpServer } from 'node:http'
import { connect, type Server } from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { ValetkeyError } from '#client'
import { diskTrouble, errnoOf, unsafe } from './disk-trouble.ts'
import { passableFolder, privateFolder } from './folders.ts'

/** Nobody needs the lock for longer; who still has it then has died with it. */
const LOCK_SECONDS = 5
/** How long answers under way may take once a door is being closed. */
export const GRACE_MS = 2000

/** `open`: other users can reach it too, and whoever listens has to ask the kernel who they are. */
export interface ListenOptions {
  readonly open?: boolean
}

/**
 * Listens where only this user gets in, unless told otherwise. A socket that somebody still answers at is
 * `held`; one that a dead process left behind is removed. The system unlinks ours when the server closes.
 */
export async function listenPrivately(
  server: Server,
  path: string,
  { open = false }: ListenOptions = {},
): Promise<void> {
  if (path.startsWith('\0')) {
    throw unsafe('a socket without a file is open to every user', 'set VALETKEY_SOCKET to a path')
  }
  if (process.platform === 'win32') return await bind(server, path)
  if (open) await passableFolder(dirname(path))
  else await privateFolder(dirname(path), { tighten: false })
  await alone(`${path}.lock`, async () => {
    await removeStale(path)
    await bind(server, path)
    await chmod(path, open ? 0o666 : 0o600)
  })
}

async function bind(server: Server, path: string): Promise<void> {
  const before = process.platform === 'win32' ? undefined : process.umask(0o077)
  try {
    // The file is made before `listen` returns, and so under this umask.
    server.listen(path)
  } finally {
    if (before !== undefined) process.umask(before)
  }
  try {
    await once(server, 'listening')
  } catch (error) {
    throw bindTrouble(error, path)
  }
}

function bindTrouble(error: unknown, path: string): ValetkeyError {
  switch (errnoOf(error)) {
    case 'EADDRINUSE':
      return held(path)
    case 'EINVAL':
    case 'ENAMETOOLONG':
      return new ValetkeyError('config-invalid', `the path of the socket is too long: ${path}`, {
        hint: 'set VALETKEY_SOCKET to a path of at most 100 bytes',
      })
    default:
      return diskTrouble(error, path)
  }
}

function held(path: string): ValetkeyError {
  return new ValetkeyError('held', `another process listens on ${path}`, {
    hint: 'use the valetkey that is running, or end it first',
  })
}

/** Removes what a dead process left behind at a socket's path. Throws `held` where somebody answers. */
export async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (!found) return
  if (!found.isSocket()) throw unsafe(`${path} is not a socket`, `move ${path} away and try again`)
  if ((await knock(path)) !== 'ECONNREFUSED') throw held(path)
  await unlink(path)
}

/** Only a refusal proves that nobody is there; a busy or a closed door does not. */
async function knock(path: string): Promise<string | undefined> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return undefined
  } catch (error) {
    return errnoOf(error)
  } finally {
    socket.destroy()
  }
}

/** Of two that find the same stale socket, the second must not remove what the first has just bound. */
async function alone(lock: string, work: () => Promise<void>): Promise<void> {
  await take(lock)
  try {
    await work()
  } finally {
    await rm(lock, { force: true })
  }
}

async function take(lock: string): Promise<void> {
  for (let tries = 0; tries < LOCK_SECONDS * 20; tries += 1) {
    try {
      const file = await open(lock, 'wx', 0o600)
      return await file.close()
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw diskTrouble(error, lock)
    }
    const age = await stat(lock).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    )
    if (age > LOCK_SECONDS * 1000) await rm(lock, { force: true })
    else await pause(50)
  }
  throw held(lock)
}

/** Takes nobody in any more, and gives answers under way a moment. */
export async function closeSoon(server: HttpServer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  // A connection that is kept alive becomes idle only when its last answer has ended.
  const idle = setInterval(() => server.closeIdleConnections(), 20)
  const late = setTimeout(() => server.closeAllConnections(), GRACE_MS)
  await promise
  clearInterval(idle)
  clearTimeout(late)
}
