import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, realpath } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../test/leave.ts'
import { peerOf } from './peer.ts'

let temp: string
beforeEach(async () => {
  temp = await mkdtemp(join(tmpdir(), 'valetkey-'))
})
afterEach(() => leave(temp))

describe.skipIf(process.platform === 'win32')('a peer', () => {
  it('[security 18.2] is known by its uid, pid, program and start', async () => {
    const server = createServer().listen(join(temp, 's'))
    const before = Date.now()
    const child = spawn(process.execPath, [
      '-e',
      `require('net').connect(${JSON.stringify(join(temp, 's'))})`,
    ])
    const [socket] = (await once(server, 'connection')) as [Socket]
    const peer = peerOf(socket)
    expect(peer).toMatchObject({ uid: process.getuid?.(), pid: child.pid })
    if (process.platform === 'linux') {
      expect(peer?.executable).toBe(await realpath(process.execPath))
      // Whole seconds of the boot time, and clock ticks, lie between the two clocks.
      expect(Math.abs((peer?.startedAt?.getTime() ?? 0) - before)).toBeLessThan(3000)
    }
    child.kill()
    await once(child, 'exit')
    socket.destroy()
    server.close()
  })

  it('[security 18.2] of another user is seen as that user', async (context) => {
    if (process.getuid?.() !== 0) context.skip('only root can start a process as another user')
    const server = createServer()
    const before = process.umask(0)
    server.listen(join(temp, 's'))
    process.umask(before)
    await chmod(temp, 0o755)
    const script = `require('net').connect(${JSON.stringify(join(temp, 's'))})`
    const child = spawn(process.execPath, ['-e', script], { uid: 65534, gid: 65534, cwd: '/' })
    const [socket] = (await once(server, 'connection')) as [Socket]
    expect(peerOf(socket)).toMatchObject({ uid: 65534, pid: child.pid })
    child.kill()
    socket.destroy()
    server.close()
  })

  it('is nobody on TCP, and nobody once the connection is gone', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const [socket] = (await once(server, 'connection')) as [Socket]
    expect(peerOf(socket)).toBeUndefined()
    client.destroy()
    socket.destroy()
    expect(peerOf(socket)).toBeUndefined()
    server.close()
  })
})
