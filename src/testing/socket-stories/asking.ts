import { expect } from 'vitest'
import { frameBytes } from '../framed-client.ts'
import { expectDone, expectRefused, type On, type SocketFacts, VERSIONS } from './play.ts'

const INHERITED = ['toString', 'constructor', '__proto__', 'hasOwnProperty', 'valueOf', 'get', 'size', '']

export function asking(on: On, { rate }: SocketFacts) {
  return [
    ...VERSIONS.map((version) =>
      on(
        `knows no operation that is not listed, inherited names included, in version ${version}`,
        async (play) => {
          const client = await play.client({ maxVersion: version })
          for (const op of [...INHERITED, 'GET_TOKEN', 'handshake', 'get_token ', 'forward'])
            expectRefused(await client.ask(op, { provider: 'x' }), 'INVALID_REQUEST')
          if (version === 1) expectRefused(await client.ask('cancel', { targetId: '1' }), 'INVALID_REQUEST')
        },
      ),
    ),

    on('answers a request that is not as it should be, and goes on', async ({ raw, greeting }) => {
      const connection = await raw()
      const bad = [
        { v: 2, op: 'list_providers', payload: {} },
        { v: 2, id: '', op: 'list_providers', payload: {} },
        { v: 2, id: 7, op: 'list_providers', payload: {} },
        { v: 2, id: 'no-op', payload: {} },
        { v: 2, id: 'op-is-7', op: 7, payload: {} },
        { v: 2, id: 'payload-is-text', op: 'list_providers', payload: 'x' },
        { v: 2, id: 'payload-is-list', op: 'list_providers', payload: [] },
        { v: 1, id: 'other-version', op: 'list_providers', payload: {} },
      ]
      connection.write(frameBytes(greeting(2)), ...bad.map(frameBytes))
      await connection.next()
      for (const { id } of bad) {
        const answer = await connection.next()
        expectRefused(answer, 'INVALID_REQUEST')
        expect(answer?.['id']).toBe(typeof id === 'string' && id !== '' ? id : null)
      }
      connection.write(frameBytes({ v: 2, id: 'good', op: 'list_providers', payload: {} }))
      expect(await connection.next()).toMatchObject({ id: 'good', ok: true })
    }),

    on('refuses an id that is under way, and takes it again afterwards', async ({ raw, greeting }) => {
      const connection = await raw()
      const same = frameBytes({ v: 2, id: 'same', op: 'list_providers', payload: {} })
      connection.write(frameBytes(greeting(2)), same, same)
      await connection.next()
      expectRefused(await connection.next(), 'INVALID_REQUEST')
      expect(await connection.next()).toMatchObject({ id: 'same', ok: true })
      connection.write(same)
      expect(await connection.next()).toMatchObject({ id: 'same', ok: true })
    }),

    on('has sixteen requests of a connection in hand, and no more', async ({ raw, greeting }) => {
      const connection = await raw()
      const requests = Array.from({ length: 40 }, (_, i) => ({
        v: 2,
        id: `${i}`,
        op: 'list_providers',
        payload: {},
      }))
      connection.write(frameBytes(greeting(2)), ...requests.map(frameBytes))
      await connection.next()
      const answers = []
      for (const _ of requests) answers.push(await connection.next())
      const refused = answers.filter((answer) => answer?.['ok'] !== true)
      for (const answer of refused) expectRefused(answer, 'RESOURCE_EXHAUSTED')
      expect(refused.length).toBe(24)
      connection.write(frameBytes({ v: 2, id: 'after', op: 'list_providers', payload: {} }))
      expect(await connection.next()).toMatchObject({ id: 'after', ok: true })
    }),

    ...(rate === null ? unlimited(on) : limited(on)),
  ]
}

function limited(on: On) {
  return [
    on(
      'holds a connection to its rate, and says when it is worth another try',
      async ({ client, facts }) => {
        const one = await client()
        const answers = []
        for (let i = 0; i < 3 * (facts.rate ?? 0); i += 1) answers.push(await one.ask('no_such_operation'))
        const refused = answers.filter(({ code }) => code === 'RATE_LIMITED')
        expect(answers.findIndex(({ code }) => code === 'RATE_LIMITED')).toBe(facts.rate)
        for (const { retryAfter } of refused) expect(retryAfter).toBeGreaterThanOrEqual(1)
        expectDone(await (await client()).ask('list_providers'))
        await new Promise((resolve) => setTimeout(resolve, 1000 * (refused.at(-1)?.retryAfter ?? 1)))
        expectDone(await one.ask('list_providers'))
      },
      ['rate'],
    ),
  ]
}

function unlimited(on: On) {
  return [
    on('holds the owner’s own programs to no rate', async ({ client }) => {
      const one = await client()
      const answers = []
      for (let i = 0; i < 300; i += 1) answers.push(await one.ask('no_such_operation'))
      expect(answers.filter(({ code }) => code !== 'INVALID_REQUEST')).toEqual([])
    }),
  ]
}
