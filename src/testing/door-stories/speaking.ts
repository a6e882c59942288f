import assert from 'node:assert/strict'
import type { Check } from '../check.ts'
import { APP, type On, refusalOf, refuses } from './play.ts'

export function speaking(on: On): readonly Check[] {
  return [
    on('speaks JSON: what it says is the same after it was written and read', async (play) => {
      const { account } = await play.connect()
      const { desk, keeper } = play.owner
      await desk.bind({ caller: APP, address: play.provider, may: ['forward'], asks: 'never' })
      const said = [
        account,
        await desk.providers(),
        await desk.accounts(),
        await desk.bindings(),
        await desk.audit(),
        await keeper.status(),
        await desk.connect({ provider: play.provider, bucket: 'other' }),
        await desk.revoke(play.provider),
      ]
      assert.deepEqual(JSON.parse(JSON.stringify(said)), said)
      assert.match(account?.connectedAt ?? '', /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    }),
    on('says no secret but the one that was asked for', async (play) => {
      const { desk, keeper } = play.owner
      const said: unknown[] = [await play.connect()]
      said.push(
        await desk.accounts(),
        await desk.audit(),
        await keeper.status(),
        await desk.revoke(play.provider),
      )
      assert.ok(!JSON.stringify(said).includes(play.key))
    }),
    on('refuses with the code, and with what to do next', async ({ owner }) => {
      await refuses(owner.desk.connect({ provider: 'nobody' }), 'unknown-provider')
      await refuses(owner.desk.flow('no-such-flow'), 'flow-not-found')
      await refuses(owner.desk.unbind('no-such-binding'), 'not-found')
      const refusal = await refuses(owner.desk.lend({ address: 'practice' }), 'not-connected')
      assert.equal(refusal.hint, 'valetkey connect practice')
    }),
    on('repeats no secret in a refusal', async (play) => {
      const { desk } = play.owner
      const { provider, key } = play
      const refusals = [
        await refusalOf(desk.connect({ provider, fields: { key }, flow: 'none' })),
        await refusalOf(desk.answer('no-such-flow', { fields: { key } })),
      ]
      for (const { message, hint } of refusals) assert.ok(!`${message} ${hint}`.includes(key))
    }),
  ]
}
