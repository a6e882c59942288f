import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../../test/leave.ts'
import { THE_PERSON } from '../../model/caller.ts'
import { socketFetch } from './fetch.ts'
import { listenSocket, type SocketEnv, type SocketListening } from './listen.ts'

const notRoot = process.getuid?.() !== 0
const asRoot = notRoot ? ' (skipped: only root can give a file or a connection to another user)' : ''

let folder: string
const open: SocketListening[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
  await leave(folder)
})

describe("the owner's socket", () => {
  it('[security 18.2] knows by the kernel who is there', async () => {
    const { fetch, seen } = await listening()
    expect(await (await fetch('http://valetkey/x')).text()).toBe('/x')
    expect(seen[0]?.caller).toMatchObject({
      id: THE_PERSON,
      owner: THE_PERSON,
      proof: { door: 'socket', uid: process.getuid?.(), pid: process.pid, executable: process.execPath },
    })
  })

  it('[security 18.1] lies where only this user gets in', async () => {
    const { path } = await listening()
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect((await stat(join(folder, 'run'))).mode & 0o777).toBe(0o700)
  })

  it('[security 18.4] waits for the end of the headers no longer than for anything else', async () => {
    const { path } = await listening()
    const socket = connect(path)
    const since = performance.now()
    socket.resume().write('GET /x HTTP/1.1\r\nHost: a\r\nX-Slow: ')
    const dripping = setInterval(() => socket.write('x'), 500)
    await new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
    clearInterval(dripping)
    expect(performance.now() - since).toBeLessThan(8000)
  }, 15_000)

  it('[security 18.2] cuts a connection of nobody it knows, before reading a byte of it', async () => {
    const { path, seen } = await listening({ identifyPeer: () => undefined })
    const socket = connect(path)
    const closed = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
    socket.write('GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
    await closed
    expect(socket.bytesRead).toBe(0)
    expect(seen).toEqual([])
  })

  it.skipIf(notRoot)(`[security 18.2] cuts a connection of another user${asRoot}`, async () => {
    const { path, seen } = await listening()
    // As if its folder and its mode had kept nobody away.
    for (const open of [folder, join(folder, 'run'), path]) await chmod(open, 0o777)
    expect(await askedBy(65_534, path)).toBe('cut')
    expect(seen).toEqual([])
    expect(await askedBy(process.getuid?.() ?? 0, path)).toBe('answered')
  })

  it('streams both ways', async () => {
    const { fetch } = await listening({}, async (request) => new Response(request.body))
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const writer = writable.getWriter()
    const asked = fetch('http://valetkey/echo', {
      method: 'POST',
      body: readable,
      duplex: 'half',
    } as RequestInit)
    void writer.write(new TextEncoder().encode('one'))
    const reader = (await asked).body?.getReader()
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('one')
    void writer.write(new TextEncoder().encode('two'))
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('two')
    await writer.close()
    expect((await reader?.read())?.done).toBe(true)
  })

  it('tells a stream that the door is closing, and closes', async () => {
    const { fetch, listener } = await listening({}, async (_, { closing }) => {
      const ended = (controller: ReadableStreamDefaultController) =>
        closing.addEventListener('abort', () => controller.close())
      return new Response(new ReadableStream({ start: ended }))
    })
    const answer = await fetch('http://valetkey/')
    await listener.close()
    expect(await answer.text()).toBe('')
  })

  it('goes away with its file, and then nobody answers', async () => {
    const { fetch, listener, path } = await listening()
    await listener.close()
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(fetch('http://valetkey/x')).rejects.toThrow()
  })

  it('is not taken from whoever has it', async () => {
    const { path, door } = await listening()
    await expect(listenSocket({ path, door })).rejects.toMatchObject({ code: 'held' })
  })
})

type Answering = (request: Request, env: SocketEnv) => Promise<Response>

async function listening(
  options: Partial<Parameters<typeof listenSocket>[0]> = {},
  answer: Answering = async ({ url }) => new Response(new URL(url).pathname),
) {
  const seen: SocketEnv[] = []
  const door = {
    fetch: (request: Request, env: SocketEnv) => {
      seen.push(env)
      return answer(request, env)
    },
  }
  const path = join(folder, 'run', 's')
  const listener = await listenSocket({ path, door, ...options })
  open.push(listener)
  return { path, door, listener, seen, fetch: socketFetch(path) }
}

/** What another user's process gets to hear. */
async function askedBy(uid: number, path: string): Promise<string> {
  const program = `
    const socket = require('node:net').connect(process.argv[1])
    let heard = 'cut'
    socket.on('data', () => { heard = 'answered' })
    socket.on('error', () => {})
    socket.on('close', () => process.stdout.write(heard))
    socket.write('GET /x HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n')`
  const child = spawn('/usr/bin/env', ['node', '-e', program, path], {
    uid,
    cwd: '/',
    env: { PATH: process.env['PATH'] },
  })
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  await once(child, 'close')
  return said
}
