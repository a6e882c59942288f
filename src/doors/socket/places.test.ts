import { once } from 'node:events'
import { chmod, mkdtemp, readdir, stat } from 'node:fs/promises'
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { noStranger, startAsStranger } from '../../../test/journeys/stranger.ts'
import { leave } from '../../../test/leave.ts'
import { type Proof, THE_PERSON } from '../../model/caller.ts'
import type { SocketPlace } from '../../model/sockets.ts'
import type { Desk } from '../../model/words.ts'
import { framedClient } from '../../testing/framed-client.ts'
import { socketFetch } from './fetch.ts'
import { type FramedDoor, framedDoor } from './framed/door.ts'
import { openPlaces, type Places } from './places.ts'

const US = process.getuid?.() ?? 0
const NOBODY = 65_534
const stranger = noStranger ? ` (${noStranger})` : ''

let folder: string
let frames: FramedDoor
let places: Places

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  // Only who asks is asked here.
  frames = framedDoor({ desk: (caller) => ({ accounts: async () => [], caller }) as unknown as Desk })
  places = await opened()
})
afterEach(async () => {
  frames.close()
  await places.leave()
  await leave(folder)
})

function opened(): Promise<Places> {
  const door = { fetch: async (_: Request, env: { caller?: unknown }) => Response.json(env.caller) }
  return openPlaces({ run: join(folder, 'run'), door, frames })
}

function place(name: string, uids: readonly number[] = [US]): SocketPlace {
  const id = `socket:${name}` as const
  return { id, uids, as: (proof: Proof) => ({ id, owner: THE_PERSON, proof }) }
}

describe('a place of a caller that is a socket', () => {
  it('[security 18.1] lies where only this user gets in, where nobody else is named', async () => {
    const path = await places.open(place('a'))
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect((await stat(dirname(path))).mode & 0o777).toBe(0o700)
    expect((await stat(join(folder, 'run', 's'))).mode & 0o777).toBe(0o700)
  })

  it('makes whoever comes in that caller, in both languages', async () => {
    const path = await places.open(place('a'))
    const answer = await socketFetch(path)('http://valetkey/x')
    expect(await answer.json()).toMatchObject({
      id: 'socket:a',
      owner: THE_PERSON,
      proof: { door: 'socket', uid: US, pid: process.pid },
    })
    const client = await framedClient(path)
    expect(await client.ask('list_providers')).toMatchObject({ data: { providers: [] } })
    client.close()
  })

  it('is nobody’s who was not named, not even its maker’s', async () => {
    const path = await places.open(place('a', [US + 12_345]))
    await expect(framedClient(path)).rejects.toThrow('the connection was closed')
    await expect(socketFetch(path)('http://valetkey/x')).rejects.toThrow()
  })

  it.skipIf(noStranger)(`lets in another user who was named, and no further user${stranger}`, async () => {
    const named = await places.open(place('named', [NOBODY]))
    expect((await stat(named)).mode & 0o777).toBe(0o666)
    expect((await stat(dirname(named))).mode & 0o777).toBe(0o711)
    expect(await heardBy(named)).toBe('served')
    const ours = await places.open(place('ours', [US]))
    for (const open of [ours, dirname(ours), join(folder, 'run', 's'), join(folder, 'run'), folder])
      await chmod(open, 0o777)
    expect(await heardBy(ours)).toBe('cut')
  })

  it('is gone with its folder when it is closed, and whoever is there is cut off', async () => {
    const path = await places.open(place('a'))
    const socket = connect(path).resume()
    await once(socket, 'connect')
    const client = await framedClient(path)
    const cut = once(socket, 'close')
    await places.close('socket:a')
    await cut
    expect(await client.ask('list_providers')).toMatchObject({ code: 'CLOSED' })
    expect(await readdir(join(folder, 'run', 's'))).toEqual([])
    await expect(framedClient(path)).rejects.toThrow()
  })

  it('is where it was for the next broker, and another one for another caller', async () => {
    const [a, b] = [await places.open(place('a')), await places.open(place('b'))]
    expect(a).not.toBe(b)
    await places.leave()
    places = await opened()
    expect(await places.open(place('a'))).toBe(a)
  })

  it('takes sixty requests a second of a connection over HTTP too, and says when to come again', async () => {
    const path = await places.open(place('a'))
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const statuses: (string | undefined)[] = []
    for (let asked = 0; asked < 100; asked += 1) {
      const [answer] = (await once(get({ socketPath: path, path: '/x', agent }), 'response')) as [
        IncomingMessage,
      ]
      statuses.push(`${answer.statusCode} ${answer.headers['retry-after'] ?? ''}`)
      await once(answer.resume(), 'end')
    }
    agent.destroy()
    expect(statuses.slice(0, 60)).toEqual(Array(60).fill('200 '))
    expect(statuses.slice(60)).toContain('429 1')
  })

  it('is opened once', async () => {
    await places.open(place('a'))
    await expect(places.open(place('a'))).rejects.toMatchObject({ code: 'conflict' })
    await places.close('socket:nobody')
  })

  it('leaves the places of a broker that lives alone', async () => {
    const path = await places.open(place('a'))
    const others = await opened()
    await others.leave()
    expect((await framedClient(path)).version).toBe(2)
  })
})

/** What a program of another user gets to hear. */
async function heardBy(path: string): Promise<string> {
  const program = `
    import { connect } from 'node:net'
    const socket = connect(process.argv[1])
    let heard = 'cut'
    socket.on('data', () => { heard = 'served'; socket.end() })
    socket.on('error', () => {})
    socket.on('close', () => process.stdout.write(heard))
    socket.write('GET /x HTTP/1.1\\r\\nHost: valetkey\\r\\nConnection: close\\r\\n\\r\\n')`
  const child = startAsStranger(program, path)
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  await once(child, 'close')
  return said
}
