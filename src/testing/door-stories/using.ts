import assert from 'node:assert/strict'
import type { Check } from '../check.ts'
import { APP, type On, refuses, textOf } from './play.ts'

export function using(on: On): readonly Check[] {
  return [
    on('forwards a request, and only that one wears the key', async (play) => {
      await play.connect()
      const { owner, provider, sent, key } = play
      const headers = { 'x-mine': 'yes', cookie: 'a=b', authorization: 'Bearer mine' }
      const answer = await owner.desk.forward({
        address: provider,
        method: 'GET',
        path: '/v1/x?y=a%20b',
        headers,
      })
      assert.equal(answer.status, 200)
      assert.deepEqual(JSON.parse(await textOf(answer.body)), { path: '/v1/x' })
      assert.ok(answer.headers.some(([name, value]) => name === 'x-practice' && value === 'yes'))
      assert.ok(!answer.headers.some(([name]) => name === 'set-cookie'), 'a cookie crossed')
      const [request] = sent
      assert.equal(request?.url, 'https://api.practice.test/v1/x?y=a%20b')
      assert.equal(request?.headers.get('x-practice-key'), key)
      assert.equal(request?.headers.get('x-mine'), 'yes')
      for (const kept of ['cookie', 'authorization']) assert.equal(request?.headers.get(kept), null)
    }),
    on('forwards to a whole address at a host of the provider, and to no other', async (play) => {
      await play.connect()
      const { owner, provider, sent } = play
      const get = (path: string) => owner.desk.forward({ address: provider, method: 'GET', path })
      assert.equal((await get('https://api.practice.test/there')).status, 200)
      for (const path of [
        'https://evil.test/x',
        'https://api.practice.test.evil.test/x',
        'https://a@evil.test/',
      ])
        await refuses(get(path), 'host-not-allowed')
      assert.equal(sent.length, 1)
    }),
    on('streams a body there and back', async (play) => {
      await play.connect()
      const { owner, provider, echo } = play
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
      const writer = writable.getWriter()
      void writer.write(new TextEncoder().encode('one')).catch(() => {})
      const request = { address: provider, method: 'POST', path: echo, body: readable }
      const reader = (await owner.desk.forward(request)).body?.getReader()
      assert.equal(new TextDecoder().decode((await reader?.read())?.value), 'one')
      void writer.write(new TextEncoder().encode('two')).catch(() => {})
      assert.equal(new TextDecoder().decode((await reader?.read())?.value), 'two')
      await writer.close()
      assert.equal((await reader?.read())?.done, true)
    }),
    on('passes on what the provider refuses as the provider said it', async (play) => {
      await play.connect()
      const { owner, provider, teapot } = play
      const answer = await owner.desk.forward({ address: provider, method: 'GET', path: teapot })
      assert.equal(answer.status, 423)
      assert.equal(JSON.parse(await textOf(answer.body)).detail, 'not one of ours')
    }),
    on('does not lend what never dies, and says what to do instead', async (play) => {
      await play.connect()
      const refusal = await refuses(play.owner.desk.lend({ address: play.provider }), 'forward-only')
      assert.match(refusal.hint ?? '', /^valetkey forward/)
    }),
    on('reveals it to whom the owner said so, and lists that', async (play) => {
      await play.connect()
      const { owner, provider, key } = play
      await refuses(owner.desk.reveal({ address: provider }), 'not-allowed')
      await owner.desk.bind({ caller: APP, address: provider, may: ['reveal'] })
      const app = await play.as(APP)
      const lent = await app.desk.reveal({ address: provider, purpose: 'a migration' })
      assert.equal(lent.token, key)
      assert.deepEqual(lent.fields, { key })
      const leases = await owner.desk.leases()
      assert.deepEqual(leases, [lent.lease])
      await owner.desk.endLease(lent.lease.id)
      assert.ok((await owner.desk.leases()).every((lease) => lease.endedAt !== null))
    }),
    on('revokes an account, and hands over the receipt', async (play) => {
      await play.connect()
      const { owner, provider } = play
      await owner.desk.bind({ caller: APP, address: provider, may: ['forward'] })
      const receipt = await owner.desk.revoke(provider)
      assert.equal(receipt.bindingsEnded, 1)
      assert.deepEqual(
        receipt.lines.map(({ what, died }) => [what, died]),
        [['key', false]],
      )
      await refuses(owner.desk.forward({ address: provider, method: 'GET', path: '/' }), 'not-connected')
    }),
  ]
}
