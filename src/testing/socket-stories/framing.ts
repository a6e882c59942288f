import { expect } from 'vitest'
import { frameBytes, lengthBytes, type RawClient } from '../framed-client.ts'
import { expectRefused, type On, type Play } from './play.ts'

const MOST = { 1: 64 * 1024, 2: 4 * 1024 * 1024 } as const

export function framing(on: On) {
  return [
    on('puts together what comes byte by byte, and takes apart what comes at once', async (play) => {
      const connection = await greeted(play, 2)
      const bytes = Buffer.concat(['a', 'b', 'c'].map((id) => frameBytes(request(id))))
      for (const byte of bytes.subarray(0, 40)) {
        connection.write(Buffer.of(byte))
        await new Promise((resolve) => setImmediate(resolve))
      }
      connection.write(bytes.subarray(40))
      const ids = [await connection.next(), await connection.next(), await connection.next()]
      expect(ids.map((answer) => answer?.['id'])).toEqual(['a', 'b', 'c'])
    }),

    ...([1, 2] as const).map((version) =>
      on(`takes ${MOST[version] / 1024} KiB in version ${version}, and not a byte more`, async (play) => {
        const exact = await greeted(play, version)
        exact.write(frameOfBytes(MOST[version], version))
        expectRefused(await exact.next(), 'INVALID_REQUEST')
        exact.write(frameBytes({ ...request('after'), v: version }))
        expect(await exact.next()).toMatchObject({ id: 'after' })
        const over = await greeted(play, version)
        over.write(lengthBytes(MOST[version] + 1))
        expectRefused(await over.next(), 'INVALID_REQUEST')
        expect(await over.closed()).toBeLessThan(4000)
      }),
    ),

    on('answers what is no frame with an error frame, and closes', async (play) => {
      const bad = [
        Buffer.from('{'),
        Buffer.from('[]'),
        Buffer.from('"text"'),
        Buffer.from('null'),
        Buffer.from('7'),
        Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
        Buffer.alloc(0),
      ]
      for (const body of bad) {
        const connection = await greeted(play, 2)
        connection.write(lengthBytes(body.length), body)
        expectRefused(await connection.next(), 'INVALID_REQUEST')
        expect(await connection.next()).toBeUndefined()
      }
    }),

    on(
      'waits three seconds for a handshake and five for the rest of a frame, and no longer',
      async (play) => {
        const [silent, header, body, amid] = await Promise.all([
          play.raw(),
          play.raw(),
          play.raw(),
          greeted(play, 2),
        ])
        header.write(Buffer.of(0, 0))
        body.write(lengthBytes(100), Buffer.from('{"v":'))
        amid.write(Buffer.of(0, 0, 0))
        const trickle = await greeted(play, 2)
        const drops = setInterval(() => trickle.write(Buffer.from(' ')), 200)
        trickle.write(lengthBytes(200))
        const [one, two, three, four, five] = await Promise.all(
          [silent, header, body, amid, trickle].map((connection) => connection.closed()),
        ).finally(() => clearInterval(drops))
        for (const early of [one, two, three]) {
          expect(early).toBeGreaterThan(2500)
          expect(early).toBeLessThan(4900)
        }
        for (const late of [four, five]) {
          expect(late).toBeGreaterThan(4500)
          expect(late).toBeLessThan(7500)
        }
      },
    ),
  ]
}

function request(id: string) {
  return { v: 2, id, op: 'no_such_operation', payload: {} }
}

/** A request of exactly so many bytes. */
function frameOfBytes(bytes: number, version: number): Buffer {
  const bare = Buffer.byteLength(JSON.stringify({ ...request('big'), v: version, pad: '' }))
  return frameBytes({ ...request('big'), v: version, pad: 'x'.repeat(bytes - bare) })
}

async function greeted({ raw, greeting }: Play, version: 1 | 2): Promise<RawClient> {
  const connection = await raw()
  connection.write(frameBytes(greeting(version)))
  expect(await connection.next()).toMatchObject({ ok: true })
  return connection
}
