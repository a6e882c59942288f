import { mkdtemp } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { leave } from '../../test/leave.ts'
import { frameBytes } from './framed-client.ts'
import { type SocketFacts, socketChecks } from './socket-contract.ts'

let folder: string
let server: Server

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
})
afterAll(() => leave(folder))

/** It takes everybody in, has no limits, does whatever it is asked, and tells all that it knows. */
async function careless(path: string): Promise<void> {
  const all = {
    access_token: 'a',
    refresh_token: 'r',
    token_type: 'Bearer',
    expiry: 1,
    session_id: '00112233445566778899aabbccddeeff',
    device_code: 'd',
    auth_url: 'https://sign.example.test/',
    status: 'pending',
  }
  server = createServer((socket) => {
    let held = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      held = Buffer.concat([held, chunk])
      while (held.length >= 4 && held.length >= 4 + held.readUInt32BE(0)) {
        const end = 4 + held.readUInt32BE(0)
        const { op, id } = read(held.toString('utf8', 4, end))
        held = held.subarray(end)
        socket.write(
          frameBytes(
            op === 'handshake' ? { v: 2, op, ok: true, data: { version: 2 } } : { id, ok: true, data: all },
          ),
        )
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
}

function read(text: string): { op?: string; id?: string } {
  try {
    return JSON.parse(text) ?? {}
  } catch {
    return {}
  }
}

/** What such a server gets right by doing anything at all. */
const ANYBODY_DOES = [
  'takes a token that nobody handed out for nothing',
  'puts together what comes byte by byte, and takes apart what comes at once',
  'answers in the order in which it was asked in version 1',
]

describe('the socket contract', () => {
  it('is kept by no server that takes no care', async () => {
    const path = join(folder, 'careless')
    await careless(path)
    const facts: SocketFacts = {
      path,
      sandboxed: true,
      lent: { provider: 'a' },
      strange: 'b',
      key: 'c',
      forwardedKey: 'd',
      signIn: 'a',
      keyOnly: 'c',
      slow: { op: 'get_token', payload: { provider: 'a' } },
      rate: 60,
    }
    const checks = socketChecks(facts)
    // All at once: most of what it does wrong is that nothing ever ends.
    const broken = await Promise.all(
      checks.map(async ({ name, run }) => ((await kept(run)) ? name : undefined)),
    )
    server.close()
    expect(broken.filter((name) => name !== undefined)).toEqual(ANYBODY_DOES)
    expect(checks.filter(({ skipped }) => skipped !== undefined)).toEqual([])
  })

  it('says why of each promise that cannot be tried', () => {
    const skipped = socketChecks({ path: '/nowhere' }).flatMap((check) => check.skipped ?? [])
    expect(skipped).toContain('"lent" is not told')
    expect(skipped).toContain('"slow" is not told')
  })
})

async function kept(run: () => Promise<void>): Promise<boolean> {
  return run().then(
    () => true,
    () => false,
  )
}
