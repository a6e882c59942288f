import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../test/leave.ts'
import type { Proof } from '../model/caller.ts'
import { canary } from '../testing/canary.ts'
import { peerOf } from './peer.ts'
import { whoIs } from './who.ts'

const onLinux = process.platform === 'linux'

let folder: string
let server: Server
let children: ChildProcess[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  children = []
  server = createServer().listen(join(folder, 's'))
  await once(server, 'listening')
})

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  server.close()
  await leave(folder)
})

/** Runs this, and says what is proved of whoever it has connect; the connection stays open. */
async function connecting(command: string, args: readonly string[], env = {}) {
  const connection = once(server, 'connection') as Promise<[Socket]>
  const child = spawn(command, args, { cwd: folder, stdio: 'ignore', env: { ...process.env, ...env } })
  children.push(child)
  const [socket] = await connection
  socket.on('error', () => {})
  const peer = peerOf(socket)
  if (peer === undefined) throw new Error('the kernel says nothing')
  const proof: Proof = { door: 'socket', ...peer }
  return { child, socket, proof, who: whoIs(proof) }
}

const script = async (name: string, text: string) => {
  const path = join(folder, name)
  await writeFile(path, text)
  return path
}
const CONNECT = `require('node:net').connect(process.env.SOCKET)`

describe.skipIf(!onLinux)('who stands behind a connection', () => {
  it('is the program, and what started it: a shell that started node that started curl', async () => {
    const agent = await script(
      'agent.cjs',
      `require('node:child_process').spawn('curl', ['-s', '--unix-socket', process.env.SOCKET, 'http://x/'])`,
    )
    // The shell has more to do afterwards, so that it stays what it is.
    const { who, proof } = await connecting('bash', ['-c', `"${process.execPath}" "${agent}"; true`], {
      SOCKET: join(folder, 's'),
    })
    expect(who).toMatchObject({ door: 'socket', uid: process.getuid?.(), pid: proof.pid })
    expect(who.executable).toMatch(/\/curl$/)
    expect(who.chain.slice(0, 2)).toEqual([`${process.execPath} ${agent}`, expect.stringMatching(/\/bash$/)])
    expect(who.chain.length).toBeLessThanOrEqual(8)
  })

  it('names the script that is run, however it was written', async () => {
    const path = await script('agent.cjs', CONNECT)
    for (const args of [
      [path],
      ['agent.cjs'],
      ['--no-warnings', './agent.cjs', 'x'],
      ['-r', 'node:fs', path],
    ]) {
      const { who } = await connecting(process.execPath, args, { SOCKET: join(folder, 's') })
      expect(who.executable).toBe(`${process.execPath} ${path}`)
    }
  })

  it('[security 20.1] names nothing else of what it was started with', async () => {
    const secret = canary('plantedargv')
    const path = await script('agent.cjs', CONNECT)
    const SOCKET = join(folder, 's')
    for (const args of [
      [path, secret, `--token=${secret}`],
      ['-e', CONNECT, secret],
      ['-e', `'${secret}';${CONNECT}`],
      [`--title=${secret}`, path, '--', secret],
    ])
      expect(JSON.stringify((await connecting(process.execPath, args, { SOCKET })).who)).not.toContain(secret)
    const shell = ['-c', `TOKEN=${secret} "${process.execPath}" "${path}"; true`]
    expect(JSON.stringify((await connecting('bash', shell, { SOCKET })).who)).not.toContain(secret)
  })

  it('[security 18.2] blames nobody who has only got its number', async () => {
    const path = await script('agent.cjs', CONNECT)
    const { proof, child } = await connecting(process.execPath, [path], { SOCKET: join(folder, 's') })
    const later = { ...proof, startedAt: new Date((proof.startedAt?.getTime() ?? 0) - 60_000) }
    expect(whoIs(later)).toMatchObject({ executable: proof.executable, chain: [] })
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(whoIs(proof)).toMatchObject({ executable: proof.executable, chain: [], pid: proof.pid })
  })

  it('is told from a terminal by no control sequence that a program is called', async () => {
    const path = await script('a\u001b[31m\u0007gent.cjs', CONNECT)
    const { who } = await connecting(process.execPath, [path], { SOCKET: join(folder, 's') })
    expect(who.executable).toMatch(/^[\x20-\x7e]+\/a\?\[31m\?gent\.cjs$/)
  })
})

describe.skipIf(!onLinux)('a program that is called like another one', () => {
  it('is not shown as a program and the script that it runs', async () => {
    const path = await script('agent.cjs', CONNECT)
    const { proof } = await connecting(process.execPath, [path], { SOCKET: join(folder, 's') })
    const called = '/tmp/node /usr/bin/git'
    expect(whoIs({ ...proof, executable: called }).executable).toBe('/tmp/node?/usr/bin/git')
    expect(whoIs({ door: 'socket', executable: called }).executable).toBe('/tmp/node?/usr/bin/git')
  })

  it('is not shown by the name that it gave itself as if that were its program', async () => {
    const child = await script('child.cjs', CONNECT)
    const parent = await script(
      'parent.cjs',
      `process.title = 'bash'; require('node:child_process').spawn(process.execPath, ['${child}'])`,
    )
    const { who } = await connecting(process.execPath, [parent], { SOCKET: join(folder, 's') })
    expect(who.chain[0]).toMatch(/^\/.*node/)
    expect(who.chain).not.toContain('bash')
  })
})

describe('where little is known', () => {
  it.each<[Proof]>([
    [{ door: 'http' }],
    [{ door: 'socket', uid: 7, pid: 0 }],
    [{ door: 'socket', uid: 7, pid: -1, startedAt: new Date() }],
    [{ door: 'socket', uid: 7, pid: 2 ** 31, startedAt: new Date(Number.NaN) }],
  ])('little is said of %o', (proof) => {
    expect(whoIs(proof)).toEqual({
      door: proof.door,
      executable: null,
      chain: [],
      uid: proof.uid ?? null,
      pid: proof.pid ?? null,
    })
  })
})
