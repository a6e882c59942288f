import { expect } from 'vitest'
import { frameBytes } from '../framed-client.ts'
import { expectDone, expectRefused, type On } from './play.ts'

/** What is seen only of a request that takes its time. */
export function waiting(on: On) {
  return [
    on(
      'answers in the order in which it is done in version 2',
      async ({ client, facts: { slow } }) => {
        const one = await client()
        const order: string[] = []
        const late = one.ask(slow?.op ?? '', slow?.payload).then((answer) => {
          order.push('slow')
          return answer
        })
        await one.ask('list_providers').then(() => order.push('quick'))
        expectDone(await late)
        expect(order).toEqual(['quick', 'slow'])
      },
      ['slow'],
    ),

    on(
      'answers in the order in which it was asked in version 1',
      async ({ raw, greeting, facts: { slow } }) => {
        const connection = await raw()
        const request = (id: string, op: string, payload: object = {}) =>
          frameBytes({ v: 1, id, op, payload })
        connection.write(
          frameBytes(greeting(1)),
          request('slow', slow?.op ?? '', slow?.payload),
          request('quick', 'list_providers'),
        )
        await connection.next()
        expect(await connection.next()).toMatchObject({ id: 'slow', ok: true })
        expect(await connection.next()).toMatchObject({ id: 'quick', ok: true })
      },
      ['slow'],
    ),

    on(
      'cancels what is under way at the same connection, and nothing else',
      async ({ client, facts: { slow } }) => {
        const [one, other] = [await client(), await client()]
        const late = one.ask(slow?.op ?? '', slow?.payload, 'late')
        expect(expectDone(await other.ask('cancel', { targetId: 'late' }))).toEqual({ cancelled: false })
        expect(expectDone(await one.ask('cancel', { targetId: 'early' }))).toEqual({ cancelled: false })
        expect(expectDone(await one.ask('cancel', { targetId: 'late' }))).toEqual({ cancelled: true })
        expectRefused(await late, 'CANCELLED')
        expect(expectDone(await one.ask('cancel', { targetId: 'late' }))).toEqual({ cancelled: false })
      },
      ['slow'],
    ),

    on('cancels nothing that is not there', async ({ client }) => {
      const one = await client()
      for (const payload of [{}, { targetId: 'x' }, { targetId: '__proto__' }, { targetId: 7 }])
        expect(expectDone(await one.ask('cancel', payload))).toEqual({ cancelled: false })
    }),
  ]
}
