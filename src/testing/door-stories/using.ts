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
      await owner.desk.bind({ caller: APP, address: provider, may: ['reveal'], asks: 'never' })
      const app = await play.as(APP)
      const lent = await app.desk.reveal({ address: provider, purpose: 'a migration' })
      assert.equal(lent.token, key)
      assert.deepEqual(lent.fields, { key })
      assert.deepEqual(await owner.desk.leases(), [lent.lease])
      assert.equal(lent.lease.purpose, 'a migration')
      const { lease, lines } = await owner.desk.endLease(lent.lease.id)
      assert.deepEqual([lease.id, lease.endsBy], [lent.lease.id, 'ended'])
      assert.deepEqual(
        lines.map(({ what, state }) => [what, state]),
        [['secret', 'alive']],
      )
      assert.deepEqual(await owner.desk.leases(), [])
      assert.deepEqual(await owner.desk.leases({ ended: true }), [lease])
      assert.deepEqual(await owner.desk.leases({ ended: false }), [])
      await refuses(owner.desk.endLease(lease.id), 'not-found')
    }),
    on('cuts off a request that is under way when its lease is ended', async (play) => {
      await play.connect()
      const { owner, provider, echo } = play
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
      const writer = writable.getWriter()
      void writer.write(new TextEncoder().encode('one')).catch(() => {})
      const request = { address: provider, method: 'POST', path: echo, body: readable, purpose: 'a story' }
      const reader = (await owner.desk.forward(request)).body?.getReader()
      await reader?.read()
      const [lease] = await owner.desk.leases()
      assert.deepEqual([lease?.verb, lease?.purpose, lease?.count], ['forward', 'a story', 1])
      const { lines } = await owner.desk.endLease(lease?.id ?? '')
      assert.deepEqual(lines, [{ what: 'requests under way', state: 'died', how: '1 cut off here' }])
      await assert.rejects(async () => reader?.read())
    }),
    on('does not take a purpose that cannot be shown', async (play) => {
      await play.connect()
      const { owner, provider, sent } = play
      const request = { address: provider, method: 'GET', path: '/', purpose: 'a\nb' }
      await refuses(owner.desk.forward(request), 'invalid-request')
      await refuses(owner.desk.lend({ address: provider, purpose: 'a\nb' }), 'invalid-request')
      assert.equal(sent.length, 0)
    }),
    on('counts what was used, for its owner and for whoever used it', async (play) => {
      await play.connect()
      const { owner, provider: address } = play
      await owner.desk.bind({ caller: APP, address, may: ['forward'], asks: 'never' })
      const app = await play.as(APP)
      for (const { desk } of [owner, app, app])
        await textOf((await desk.forward({ address, method: 'GET', path: '/' })).body)
      const counted = (all: Awaited<ReturnType<typeof owner.desk.usage>>) =>
        all.map(({ caller, forwards, lends }) => [caller, forwards, lends]).toSorted()
      assert.deepEqual(counted(await owner.desk.usage()), [
        [APP, 2, 0],
        ['person:owner', 1, 0],
      ])
      assert.deepEqual(counted(await app.desk.usage({ address, days: 1 })), [[APP, 2, 0]])
      assert.deepEqual(counted(await owner.desk.usage({ caller: APP })), [[APP, 2, 0]])
      await refuses(owner.desk.usage({ days: 0 }), 'invalid-request')
    }),
    on('ends all that a caller may use, and says what it may use until that dies', async (play) => {
      await play.connect()
      const { owner, provider } = play
      await owner.desk.bind({ caller: APP, address: provider, may: ['forward', 'reveal'], asks: 'never' })
      const app = await play.as(APP)
      await app.desk.reveal({ address: provider })
      await refuses(app.desk.revokeCaller(APP), 'not-allowed')
      const receipt = await owner.desk.revokeCaller(APP)
      assert.deepEqual(receipt.livesOn, [{ address: provider, caller: APP, until: null }])
      assert.deepEqual([receipt.caller, receipt.bindingsEnded, receipt.leasesEnded], [APP, 1, 1])
      await refuses(app.desk.forward({ address: provider, method: 'GET', path: '/' }), 'not-connected')
      await refuses(owner.desk.revokeCaller(APP), 'not-found')
      assert.equal((await owner.desk.accounts()).length, 1)
    }),
    on('revokes all accounts at once, and shows what providers are still to be told', async (play) => {
      await play.connect()
      const { owner, provider, nextKey } = play
      await owner.desk.connect({ provider, bucket: 'work', fields: { key: nextKey } })
      await refuses((await play.as(APP)).desk.revokeAll(), 'not-allowed')
      const receipts = await owner.desk.revokeAll()
      assert.deepEqual(
        receipts.map(({ address, lines }) => [address, lines.map(({ state }) => state)]),
        [
          [provider, ['alive']],
          [`${provider}/work`, ['alive']],
        ],
      )
      assert.deepEqual(await owner.desk.accounts(), [])
      assert.deepEqual(await owner.desk.outbox(), [])
      assert.deepEqual(await owner.desk.revokeAll(), [])
    }),
    on('sets how old a secret may become', async (play) => {
      await play.connect()
      const { owner, provider } = play
      const { rotateAt } = await owner.desk.rotateEvery(provider, 90)
      const days = (Date.parse(rotateAt ?? '') - Date.now()) / (24 * 60 * 60_000)
      assert.ok(days > 89 && days <= 90, `it is due in ${days} days`)
      assert.equal((await owner.desk.accounts())[0]?.rotateAt, rotateAt)
      assert.equal((await owner.desk.rotateEvery(provider, null)).rotateAt, null)
    }),
    on('revokes an account, and hands over the receipt', async (play) => {
      await play.connect()
      const { owner, provider } = play
      await owner.desk.bind({ caller: APP, address: provider, may: ['forward'], asks: 'never' })
      const receipt = await owner.desk.revoke(provider)
      assert.equal(receipt.bindingsEnded, 1)
      assert.deepEqual(
        receipt.lines.map(({ what, state }) => [what, state]),
        [['key', 'alive']],
      )
      await refuses(owner.desk.forward({ address: provider, method: 'GET', path: '/' }), 'not-connected')
    }),
  ]
}
