import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'vitest'
import type { FramedClient, Message } from '../framed-client.ts'
import { expectDone, expectRefused, type On, refusedIn, VERSIONS } from './play.ts'

const ONE_OF_THEM = ['oauth_exchange', 'oauth_poll', 'oauth_cancel']
const UNKNOWN = '00000000000000000000000000000000'
const TYPES = ['pkce_redirect', 'browser_redirect', 'device_code']

export function signingIn(on: On) {
  return [
    ...VERSIONS.map((version) =>
      on(`refuses a sign-in in its order, in version ${version}`, async ({ client, facts }) => {
        const one = await client({ maxVersion: version })
        expectRefused(await one.ask('oauth_initiate'), 'INVALID_REQUEST')
        if (facts.strange !== undefined)
          expectRefused(await one.ask('oauth_initiate', { provider: facts.strange }), refusedIn(version))
        if (facts.keyOnly !== undefined)
          expectRefused(
            await one.ask('oauth_initiate', { provider: facts.keyOnly }),
            'PROVIDER_NOT_CONFIGURED',
          )
      }),
    ),

    on(
      'begins a sign-in, and tells nothing of its inside',
      async ({ client, facts }) => {
        const one = await client()
        const data = expectDone(await one.ask('oauth_initiate', { provider: facts.signIn }))
        expect(data).toMatchObject({
          session_id: expect.stringMatching(/^[0-9a-f]{32,}$/),
          auth_url: expect.stringMatching(/^https?:\/\//),
          pollIntervalMs: expect.any(Number),
        })
        expect(TYPES).toContain(data['flow_type'])
        const known = ['session_id', 'flow_type', 'auth_url', 'pollIntervalMs']
        const device = ['user_code', 'verification_uri', 'verification_uri_complete']
        const may = data['flow_type'] === 'device_code' ? [...known, ...device] : known
        expect(Object.keys(data).filter((name) => !may.includes(name))).toEqual([])
        const polled = expectDone(await one.ask('oauth_poll', { session_id: data['session_id'] }))
        expect(polled).toEqual({ status: 'pending', pollIntervalMs: expect.any(Number) })
        await cancel(one, data['session_id'])
      },
      ['signIn'],
    ),

    on(
      'is done with a sign-in once it is cancelled or was tried',
      async ({ client, facts }) => {
        const one = await client()
        const begin = async () =>
          expectDone(await one.ask('oauth_initiate', { provider: facts.signIn }))['session_id']
        const cancelled = await begin()
        await cancel(one, cancelled)
        for (const op of ONE_OF_THEM)
          expectRefused(
            await one.ask(op, { session_id: cancelled, code: 'x' }),
            'SESSION_ALREADY_USED',
            'SESSION_NOT_FOUND',
          )
      },
      ['signIn'],
    ),

    on(
      'keeps sign-ins apart',
      async ({ client, facts }) => {
        const one = await client()
        const ids = new Set<unknown>()
        for (let i = 0; i < 3; i += 1)
          ids.add(expectDone(await one.ask('oauth_initiate', { provider: facts.signIn }))['session_id'])
        expect(ids.size).toBe(3)
        const [first, ...others] = ids
        await cancel(one, first)
        for (const id of others) {
          expect(expectDone(await one.ask('oauth_poll', { session_id: id }))).toMatchObject({
            status: 'pending',
          })
          await cancel(one, id)
        }
      },
      ['signIn'],
    ),

    on(
      'knows a sign-in to the process that began it, and to nobody else',
      async ({ client, facts, path, greeting }) => {
        const one = await client()
        const { session_id: id } = expectDone(await one.ask('oauth_initiate', { provider: facts.signIn }))
        for (const op of ONE_OF_THEM)
          expect(await askedElsewhere(path, greeting(2), op, id)).toBe('SESSION_NOT_FOUND')
        const again = await client()
        expect(expectDone(await again.ask('oauth_poll', { session_id: id }))).toMatchObject({
          status: 'pending',
        })
        await cancel(again, id)
      },
      ['signIn'],
    ),

    on('knows no sign-in that is not there', async ({ client }) => {
      const one = await client()
      for (const op of ONE_OF_THEM) {
        expectRefused(await one.ask(op, { code: 'x' }), 'INVALID_REQUEST')
        for (const id of [UNKNOWN, '__proto__', 'toString'])
          expectRefused(await one.ask(op, { session_id: id, code: 'x' }), 'SESSION_NOT_FOUND')
      }
    }),
  ]
}

async function cancel(client: FramedClient, id: unknown): Promise<void> {
  expect(expectDone(await client.ask('oauth_cancel', { session_id: id }))).toEqual({})
}

/** What another process of this user hears. */
async function askedElsewhere(path: string, greeting: Message, op: string, id: unknown): Promise<string> {
  const program = `
    const [path, op, id] = process.argv.slice(1)
    const socket = require('node:net').connect(path)
    const send = (message) => {
      const body = Buffer.from(JSON.stringify(message))
      const header = Buffer.alloc(4)
      header.writeUInt32BE(body.length)
      socket.write(Buffer.concat([header, body]))
    }
    let heard = Buffer.alloc(0)
    let greeted = false
    socket.on('data', (chunk) => {
      heard = Buffer.concat([heard, chunk])
      while (heard.length >= 4 && heard.length >= 4 + heard.readUInt32BE(0)) {
        const end = 4 + heard.readUInt32BE(0)
        const { ok, code } = JSON.parse(heard.toString('utf8', 4, end))
        heard = heard.subarray(end)
        if (greeted) { process.stdout.write(ok ? 'OK' : code); socket.end() }
        else send({ v: 2, id: '1', op, payload: { session_id: id, code: 'x' } })
        greeted = true
      }
    })
    process.stdin.once('data', (greeting) => send(JSON.parse(greeting)))`
  const child = spawn(process.execPath, ['-e', program, path, op, String(id)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(JSON.stringify(greeting))
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  await once(child, 'close')
  return said
}
