import assert from 'node:assert/strict'
import { THE_PERSON } from '../../model/caller.ts'
import type { Check } from '../check.ts'
import { APP, type On, refusalOf, refuses } from './play.ts'

export function standing(on: On): readonly Check[] {
  return [
    on('is no more at the door than at the broker: each caller has what is bound to it', async (play) => {
      await play.connect()
      const { owner, provider } = play
      const until = new Date(Date.now() + 60_000).toISOString()
      const binding = await owner.desk.bind({
        caller: APP,
        address: provider,
        may: ['forward'],
        asks: 'never',
        until,
      })
      assert.equal(binding.until, until)
      assert.deepEqual(await owner.desk.bindings(), [binding])
      const app = await play.as(APP)
      assert.equal((await app.desk.accounts()).length, 1)
      assert.equal((await app.desk.forward({ address: provider, method: 'GET', path: '/' })).status, 200)
      await refuses(app.desk.reveal({ address: provider }), 'not-allowed')
      await refuses(app.desk.audit(), 'not-allowed')
      await refuses(
        app.desk.bind({ caller: APP, address: provider, may: ['reveal'], asks: 'never' }),
        'not-allowed',
      )
      await owner.desk.unbind(binding.id)
      assert.deepEqual(await app.desk.accounts(), [])
      await refuses(app.desk.forward({ address: provider, method: 'GET', path: '/' }), 'not-connected')
    }),
    on('does not tell a stranger what is connected and what is not', async (play) => {
      const stranger = await play.as('app:stranger')
      const ask = async () => {
        const desk = stranger.desk
        const address = play.provider
        const refusals = [
          await refusalOf(desk.lend({ address })),
          await refusalOf(desk.forward({ address, method: 'GET', path: '/' })),
          await refusalOf(desk.revoke(address)),
        ]
        return [await desk.accounts(), refusals.map(({ code, message, hint }) => [code, message, hint])]
      }
      const before = await ask()
      await play.connect()
      assert.deepEqual(await ask(), before)
    }),
    on('takes an account by its address and by its id', async (play) => {
      const { account } = await play.connect()
      const { owner, provider } = play
      for (const address of [provider, account?.id ?? ''])
        assert.equal((await owner.desk.forward({ address, method: 'GET', path: '/' })).status, 200)
      assert.equal((await owner.desk.revoke(account?.id ?? '')).address, provider)
    }),
    on('lets only the owner keep the vault', async ({ as }) => {
      const { keeper } = await as(APP)
      await refuses(keeper.lock(), 'not-allowed')
      await refuses(keeper.verifyAudit(), 'not-allowed')
      await refuses(keeper.eraseOwner(THE_PERSON), 'not-allowed')
    }),
  ]
}
