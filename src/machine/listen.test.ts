import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, lstat, mkdir, mkdtemp, readdir, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../test/leave.ts'
import { listenPrivately } from './listen.ts'

let temp: string
let path: string
const servers: Server[] = []
beforeEach(async () => {
  temp = await mkdtemp(join(tmpdir(), 'valetkey-'))
  path = join(temp, 'run', 'valetkey.sock')
})
afterEach(async () => {
  for (const server of servers.splice(0)) server.close()
  await leave(temp)
})

function server(): Server {
  const made = createServer((socket) => socket.on('error', () => {}).end('here'))
  servers.push(made)
  return made
}

async function answer(): Promise<string> {
  const socket = connect(path)
  return String(Buffer.concat(await socket.toArray()))
}

/** A process that listens and is then killed, so that its socket stays behind. */
async function leaveStale(): Promise<void> {
  await mkdir(join(temp, 'run'), { mode: 0o700, recursive: true })
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('ready'))`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
}

describe('a private socket', () => {
  it('[security 18.1] is 0600 in a folder that is 0700, and gone when it is closed', async () => {
    const before = process.umask(0o022)
    const one = server()
    await listenPrivately(one, path)
    expect(process.umask(before)).toBe(0o022)
    expect((await lstat(path)).mode & 0o777).toBe(0o600)
    expect((await lstat(join(temp, 'run'))).mode & 0o777).toBe(0o700)
    expect(await readdir(join(temp, 'run'))).toEqual(['valetkey.sock'])
    one.close()
    await once(one, 'close')
    expect(await readdir(join(temp, 'run'))).toEqual([])
  })

  it('[security 18.1] is held while somebody answers at it, who is not disturbed', async () => {
    await listenPrivately(server(), path)
    await expect(listenPrivately(server(), path)).rejects.toMatchObject({ code: 'held' })
    expect(await answer()).toBe('here')
  })

  it('[security 18.1] takes the place of one that a killed process left behind', async () => {
    await leaveStale()
    await listenPrivately(server(), path)
    expect(await answer()).toBe('here')
  })

  it('[security 18.1] goes to one of several who find the same stale one', async () => {
    await leaveStale()
    const tries = await Promise.allSettled(Array.from({ length: 8 }, () => listenPrivately(server(), path)))
    const lost = tries.filter((each) => each.status === 'rejected')
    expect(lost.map(({ reason }) => reason.code)).toEqual(Array(7).fill('held'))
    expect(await answer()).toBe('here')
  })

  it('[security 18.1] is refused where something else lies, which is left there', async () => {
    await mkdir(join(temp, 'run'), { mode: 0o700 })
    await writeFile(path, 'precious')
    await expect(listenPrivately(server(), path)).rejects.toMatchObject({ code: 'unsafe-folder' })
    expect((await lstat(path)).size).toBe(8)
  })

  it('[security 18.1] is refused in a folder that is open to others, which is left as it is', async () => {
    await mkdir(join(temp, 'run'))
    await chmod(join(temp, 'run'), 0o755)
    await expect(listenPrivately(server(), path)).rejects.toMatchObject({ code: 'unsafe-folder' })
    expect((await lstat(join(temp, 'run'))).mode & 0o777).toBe(0o755)
  })

  it('[security 18.3] is never an abstract one', async () => {
    await expect(listenPrivately(server(), '\0valetkey')).rejects.toMatchObject({ code: 'unsafe-folder' })
  })

  it('is refused with a path that the system cannot take', async () => {
    const long = join(temp, 'x'.repeat(120), 'valetkey.sock')
    await expect(listenPrivately(server(), long)).rejects.toMatchObject({ code: 'config-invalid' })
  })

  it('[security 18.1] lets no other user in', async (context) => {
    if (process.getuid?.() !== 0) context.skip('only root can start a process as another user')
    await chmod(temp, 0o755)
    await listenPrivately(server(), path)
    const script = `require('net').connect(${JSON.stringify(path)}).on('error', (e) => console.log(e.code)).on('connect', () => console.log('in'))`
    const child = spawn(process.execPath, ['-e', script], { uid: 65534, gid: 65534, cwd: '/' })
    expect(String(Buffer.concat(await child.stdout.toArray())).trim()).toBe('EACCES')
  })
})
