import assert from 'node:assert/strict'
import type { CallerId } from '../../model/caller.ts'
import type { Check } from '../check.ts'
import { type On, refuses } from './play.ts'

export function narrowing(on: On): readonly Check[] {
  return [
    on('cuts a key that is shown once, and is a caller of its own', async (play) => {
      await play.connect()
      const { owner, provider } = play
      const until = new Date(Date.now() + 60_000).toISOString()
      const limits = { only: ['GET /*'], rate: { uses: 60, seconds: 60 }, budget: 9 }
      const grants = [{ address: provider, may: ['forward'], limits }] as const
      const { key, secret } = await owner.desk.narrow({ kind: 'key', name: 'ci', grants, until })
      assert.match(secret ?? '', /^vk_[a-z0-9]+_[A-Za-z0-9_-]{43}$/)
      assert.deepEqual(
        { ...key, id: '', createdAt: '' },
        {
          ...{ id: '', kind: 'key', name: 'ci', parent: 'person:owner', grants },
          ...{ socket: null, thumbprint: null, createdAt: '', until },
        },
      )
      assert.deepEqual(await owner.desk.keys(), [key])
      const { desk } = await play.as(key.id as CallerId)
      assert.equal((await desk.forward({ address: provider, method: 'GET', path: '/' })).status, 200)
      await refuses(desk.forward({ address: provider, method: 'POST', path: '/', body: '{}' }), 'not-allowed')
      await refuses(desk.audit(), 'not-allowed')
      assert.deepEqual(
        (await desk.bindings()).map(({ may, limits: held }) => [may, held]),
        [[['forward'], limits]],
      )
      await owner.desk.endKey(key.id)
      assert.deepEqual(await owner.desk.keys(), [])
      await refuses(desk.forward({ address: provider, method: 'GET', path: '/' }), 'not-connected')
      await refuses(owner.desk.endKey(key.id), 'not-found')
    }),
    on('narrows a caller for its child, and never to more than the caller may', async (play) => {
      await play.connect()
      const { owner, provider: address } = play
      const made = await owner.desk.narrow({ kind: 'key', grants: [{ address, may: ['forward'] }] })
      const agent = await play.as(made.key.id as CallerId)
      await refuses(agent.desk.narrow({ kind: 'key', grants: [{ address, may: ['reveal'] }] }), 'not-allowed')
      const { key } = await agent.desk.narrow({ kind: 'key', grants: [{ address, may: ['forward'] }] })
      assert.equal(key.parent, made.key.id)
      const child = await play.as(key.id as CallerId)
      assert.equal((await child.desk.forward({ address, method: 'GET', path: '/' })).status, 200)
      assert.deepEqual(await agent.desk.keys(), [key])
      assert.deepEqual(await child.desk.keys(), [])
      await owner.desk.endKey(made.key.id)
      await refuses(child.desk.forward({ address, method: 'GET', path: '/' }), 'not-connected')
    }),
    on('cuts nothing that says nothing', async ({ owner, provider: address }) => {
      await refuses(owner.desk.narrow({ kind: 'key', grants: [] }), 'invalid-request')
      await refuses(owner.desk.narrow({ kind: 'key', grants: [{ address, may: [] }] }), 'invalid-request')
    }),
  ]
}
