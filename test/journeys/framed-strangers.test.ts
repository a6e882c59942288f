import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdtemp, readFile, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { frameBytes, framedClient, lengthBytes, rawClient } from '../../src/testing/framed-client.ts'
import { wherePaths } from '../../src/where.ts'
import { report, size } from '../figures.ts'
import { leave } from '../leave.ts'
import { BIN, firstLine, type RealHome, realHome, until } from '../real.ts'
import { noStranger, startAsStranger } from './stranger.ts'

const NOBODY = 65_534
const STRANGERS = 100
const homes: RealHome[] = []

afterEach(async () => {
  for (const home of homes.splice(0)) await home.close()
})

/** The real command, with nothing handed in. */
async function broker(): Promise<{ readonly pid: number; readonly path: string }> {
  const home = await realHome()
  homes.push(home)
  home.start(['serve', '--no-page'])
  return { pid: await until(home.holder), path: wherePaths(home).socket }
}

/** Tries one after the other, and says how many bytes it ever got to see. */
const TRY = `
import { connect } from 'node:net'
const [path, tries, first, second] = process.argv.slice(1)
let served = 0, reached = 0
for (let left = Number(tries); left > 0; left -= 1) {
  const socket = connect(path)
  const closed = new Promise((resolve) => socket.on('close', resolve))
  socket.on('error', () => {})
  socket.on('connect', () => { reached += 1 })
  socket.on('data', () => { served += 1 })
  socket.write(Buffer.from(first, 'hex'))
  socket.write(Buffer.from(second, 'hex'))
  await closed
}
process.stdout.write(JSON.stringify({ uid: process.getuid(), served, reached }))`

const GREETING = { v: 2, op: 'handshake', payload: { minVersion: 1, maxVersion: 2 } }

describe('the socket, to whom it is not for', () => {
  it.skipIf(noStranger)(
    `[security 18.2] serves no other user of this computer, whatever stands open on the way${noStranger ? ` (${noStranger})` : ''}`,
    async () => {
      const { path } = await broker()
      // As if no folder and no mode had kept anybody away.
      for (let way = path; way.startsWith(tmpdir()) && way !== tmpdir(); way = dirname(way))
        await chmod(way, 0o777)
      const tries = size(60, 1000)
      const bytes = [frameBytes(GREETING), frameBytes({ v: 2, id: '1', op: 'list_providers', payload: {} })]
      const words = [path, String(tries), ...bytes.map((one) => one.toString('hex'))]
      const child = startAsStranger(TRY, ...words)
      let said = ''
      child.stdout.on('data', (chunk) => {
        said += chunk
      })
      await once(child, 'close')
      const { uid, served, reached } = JSON.parse(said)
      report('frames of another user that were served', served, tries, 'real broker, SO_PEERCRED')
      expect({ uid, served, reached }).toEqual({ uid: NOBODY, served: 0, reached: tries })
      expect((await framedClient(path)).version).toBe(2)
    },
  )

  it('[security 18] keeps little of strangers who never finish a frame, and sends them away', async () => {
    const { pid, path } = await broker()
    const warm = await framedClient(path)
    for (let i = 0; i < 200; i += 1) await warm.ask('list_providers')
    await pause(500)
    const before = await residentKiB(pid)
    const start = performance.now()
    const strangers = await Promise.all(Array.from({ length: STRANGERS }, () => rawClient(path)))
    for (const [i, stranger] of strangers.entries()) stranger.write(...partial(i))
    let most = before
    const watching = setInterval(async () => {
      most = Math.max(most, await residentKiB(pid))
    }, 50)
    await Promise.all(strangers.map((stranger) => stranger.closed()))
    const tookMs = performance.now() - start
    clearInterval(watching)
    const grownMiB = (most - before) / 1024
    report(
      `MiB grown over ${STRANGERS} partial frames`,
      grownMiB.toFixed(1),
      10,
      '/proc VmRSS of a real broker',
    )
    report('ms until all of them were closed', Math.round(tookMs), 5000, 'real broker')
    expect(grownMiB).toBeLessThanOrEqual(10)
    expect(tookMs).toBeLessThanOrEqual(5000)
    expect((await warm.ask('list_providers')).ok).toBe(true)
    warm.close()
  })
})

/** A part of a header; a header that promises more than may come; one that promises, and keeps most of it back. */
function partial(i: number): Buffer[] {
  if (i % 3 === 0) return [Buffer.of(0, 0)]
  if (i % 3 === 1) return [lengthBytes(4 * 1024 * 1024), Buffer.alloc(60 * 1024)]
  return [lengthBytes(4096), Buffer.alloc(4000, 0x20)]
}

async function residentKiB(pid: number): Promise<number> {
  return Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'latin1'))?.[1])
}

/** Started by the very user whose broker it is, it starts the broker and then tries to look into it. */
const READER = `
import { spawn } from 'node:child_process'
import { openSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { once } from 'node:events'
const [bin] = process.argv.slice(1)
const koffi = createRequire(bin)('koffi')
const libc = koffi.load(null)
const ptrace = libc.func('long ptrace(int request, int pid, void *addr, void *data)')
const attempt = (what) => { try { return what() } catch (error) { return error.code } }
const attach = (pid) => ptrace(16, pid, null, null) === 0 ? 'attached' : 'refused'
const child = spawn(process.execPath, [bin, 'serve', '--no-page', '--json'], { stdio: ['ignore', 'pipe', 'pipe'] })
let noise = ''
child.stderr.on('data', (chunk) => { noise += chunk })
const [line] = await once(child.stdout, 'data')
const { socket: path, pid } = JSON.parse(String(line))
const found = {
  uid: process.getuid(),
  mem: attempt(() => { openSync('/proc/' + pid + '/mem', 'r'); return 'opened' }),
  environ: attempt(() => { readFileSync('/proc/' + pid + '/environ'); return 'read' }),
  attach: attach(pid),
}
process.kill(pid, 'SIGUSR1')
await new Promise((go) => setTimeout(go, 700))
const socket = connect(path)
socket.write(Buffer.from(process.argv[2], 'hex'))
const [answer] = await once(socket, 'data')
found.served = answer.includes('"ok":true')
found.debugger = /debugger/i.test(noise)
process.stdout.write(JSON.stringify({ ...found, pid }) + '\\n')
process.stdin.once('data', () => { child.kill('SIGKILL'); process.exit() })`

describe('the broker, to other programs of its own user', () => {
  it.skipIf(noStranger)(
    `[security 19.8] [security 18] shows them nothing of its memory, and opens no debugger${noStranger ? ` (${noStranger})` : ''}`,
    async () => {
      const home = await mkdtemp(join(tmpdir(), 'valetkey-'))
      await chown(home, NOBODY, NOBODY)
      const reader = asNobody(home)
      try {
        const found = JSON.parse(await firstLine(reader))
        expect(found).toEqual({
          uid: NOBODY,
          mem: 'EACCES',
          environ: 'EACCES',
          attach: 'refused',
          served: true,
          debugger: false,
          pid: expect.any(Number),
        })
        expect((await stat(`/proc/${found.pid}/mem`)).uid).toBe(0)
        const limits = await readFile(`/proc/${found.pid}/limits`, 'utf8')
        expect(/^Max core file size.*$/m.exec(limits)?.[0]).toMatch(/ 0 +0 /)
      } finally {
        reader.stdin?.write('enough\n')
        await once(reader, 'close')
        await leave(home)
      }
    },
  )
})

function asNobody(home: string): ChildProcess {
  const run = [
    process.execPath,
    '--input-type=module',
    '--eval',
    READER,
    BIN,
    frameBytes(GREETING).toString('hex'),
  ]
  return spawn('setpriv', [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', ...run], {
    cwd: '/',
    env: { HOME: home, VALETKEY_HOME: home, PATH: process.env['PATH'] ?? '' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
}
