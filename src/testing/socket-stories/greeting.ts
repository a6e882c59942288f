import { expect } from 'vitest'
import { frameBytes, lengthBytes } from '../framed-client.ts'
import { expectRefused, type On, type SocketFacts } from './play.ts'

export function greeting(on: On, facts: SocketFacts) {
  return [
    on('agrees upon the newest version that both speak', async ({ raw, greeting }) => {
      for (const [offered, agreed] of [
        [1, 1],
        [2, 2],
        [9, 2],
      ] as const) {
        const connection = await raw()
        connection.write(frameBytes(greeting(offered)))
        const answer = await connection.next()
        expect(answer).toEqual({ v: agreed, op: 'handshake', ok: true, data: { version: agreed } })
      }
    }),

    on('refuses a client with which it shares no version, and closes', async ({ raw, greeting }) => {
      const { payload } = greeting(2) as { payload: object }
      const offers = [
        { minVersion: 3, maxVersion: 4 },
        { minVersion: 0, maxVersion: 0 },
        { minVersion: 2, maxVersion: 1 },
        { minVersion: '1', maxVersion: '2' },
        { minVersion: undefined },
      ]
      for (const offer of offers) {
        const connection = await raw()
        connection.write(frameBytes({ v: 2, op: 'handshake', payload: { ...payload, ...offer } }))
        const answer = await connection.next()
        expect(answer).toMatchObject({ op: 'handshake', ok: false })
        expectRefused(answer, 'UNKNOWN_VERSION')
        await connection.closed()
      }
    }),

    on('hears nothing before a handshake, and closes', async ({ raw, greeting }) => {
      for (const message of [
        { v: 2, id: '1', op: 'list_providers' },
        { v: 2, op: 'toString', payload: {} },
        {},
      ]) {
        const connection = await raw()
        connection.write(frameBytes(message), frameBytes(greeting(2)))
        expectRefused(await connection.next(), 'INVALID_REQUEST', 'UNAUTHORIZED')
        expect(await connection.next()).toBeUndefined()
      }
    }),

    facts.capabilityToken === undefined
      ? on('takes a token that nobody handed out for nothing', async ({ client }) => {
          expect((await client({ capabilityToken: 'anything' })).version).toBe(2)
        })
      : on('lets in nobody who does not show the token that was handed out', async ({ raw }) => {
          for (const capabilityToken of [undefined, '', 'x', 1, null]) {
            const connection = await raw()
            const payload = { minVersion: 1, maxVersion: 2, capabilityToken }
            connection.write(frameBytes({ v: 2, op: 'handshake', payload }))
            expectRefused(await connection.next(), 'UNAUTHORIZED')
            await connection.closed()
          }
        }),

    on('takes no second handshake', async ({ raw, greeting }) => {
      const connection = await raw()
      connection.write(frameBytes(greeting(2)), frameBytes({ ...greeting(1), id: 'again' }))
      expect(await connection.next()).toMatchObject({ ok: true })
      expectRefused(await connection.next(), 'INVALID_REQUEST')
    }),

    on('takes no more than 4 KiB before the handshake, and does not wait for the rest', async ({ raw }) => {
      for (const length of [4097, 4 * 1024 * 1024, 0x00ffffff, 0xffffffff]) {
        const connection = await raw()
        connection.write(lengthBytes(length))
        expectRefused(await connection.next(), 'INVALID_REQUEST')
        expect(await connection.closed()).toBeLessThan(2500)
      }
    }),
  ]
}
