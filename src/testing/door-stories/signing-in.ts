import assert from 'node:assert/strict'
import type { Check } from '../check.ts'
import type { On } from './play.ts'

export function signingIn(on: On): readonly Check[] {
  return [
    on('lists what can be connected', async ({ owner, provider }) => {
      const [card, ...more] = await owner.desk.providers()
      assert.deepEqual(more, [])
      assert.equal(card?.id, provider)
      assert.deepEqual(card?.flows, ['api-key'])
    }),
    on('walks a sign-in from its first step to the account', async ({ owner, provider, key }) => {
      const begun = await owner.desk.connect({ provider, bucket: 'work' })
      assert.equal(begun.state, 'asking')
      assert.equal(begun.step?.ask, 'fill')
      assert.deepEqual((await owner.desk.flow(begun.id)).step, begun.step)
      const again = await owner.desk.answer(begun.id, { fields: { key: 'wrong' } })
      assert.ok(again.step?.ask === 'fill' && again.step.because, 'it does not say why it asks again')
      const done = await owner.desk.answer(begun.id, { fields: { key } })
      assert.equal(done.state, 'done')
      assert.equal(done.account?.bucket, 'work')
      assert.deepEqual(await owner.desk.accounts(), [done.account])
    }),
    on(
      'takes what is known beforehand, and a key that names its provider',
      async ({ owner, key, provider }) => {
        const done = await owner.desk.connect({ fields: { key } })
        assert.equal(done.state, 'done')
        assert.equal(done.account?.providerId, provider)
      },
    ),
    on('cancels a sign-in', async ({ owner, provider }) => {
      const { id } = await owner.desk.connect({ provider })
      assert.equal((await owner.desk.cancel(id)).state, 'cancelled')
      assert.deepEqual(await owner.desk.accounts(), [])
    }),
    on('connects an account again in its place, and replaces its key', async (play) => {
      const { owner, provider, nextKey } = play
      const { account } = await play.connect()
      const { id } = await owner.desk.rotate(provider)
      const rotated = await owner.desk.answer(id, { fields: { key: nextKey } })
      assert.equal(rotated.account?.id, account?.id)
      assert.ok(rotated.receipt, 'nobody says what became of the old key')
      const { state } = await owner.desk.reconnect(account?.id ?? '', { fields: { key: nextKey } })
      assert.equal(state, 'done')
    }),
  ]
}
