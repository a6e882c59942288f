import assert from 'node:assert/strict'
import type { AskEvent, Desk } from '#client'
import type { Check } from '../check.ts'
import { APP, type On, refuses } from './play.ts'

const WISH = { may: ['forward'], reason: 'weekly report' } as const

export function asking(on: On): readonly Check[] {
  return [
    on('lets a caller ask, and the owner alone answer', async (play) => {
      await play.connect()
      const { owner, provider } = play
      const app = await play.as(APP)
      const asked = await app.desk.ask({ ...WISH, address: provider })
      assert.equal(asked.state, 'pending')
      assert.deepEqual(await owner.desk.asks(), [asked])
      await refuses(app.desk.decide(asked.id, 'always'), 'not-allowed')
      await refuses(owner.desk.ask({ ...WISH, address: provider }), 'invalid-request')
      await owner.desk.decide(asked.id, 'once')
      const forward = () => app.desk.forward({ address: provider, method: 'GET', path: '/' })
      assert.equal((await forward()).status, 200)
      await refuses(forward(), 'ask-needed')
    }),
    on('lets a caller wait for the answer', async (play) => {
      await play.connect()
      const app = await play.as(APP)
      const { id } = await app.desk.ask({ ...WISH, address: play.provider })
      const waiting = app.desk.asked(id, 30)
      const decided = await play.owner.desk.decide(id, 'no')
      assert.deepEqual(await waiting, decided)
      assert.equal(decided.state, 'refused')
    }),
    on('tells the owner that somebody asks, and whoever asked of the answer', async (play) => {
      await play.connect()
      const app = await play.as(APP)
      const stop = new AbortController()
      const heard = Promise.all([firstAsk(play.owner.desk, stop), firstAsk(app.desk, stop)])
      const { id } = await app.desk.ask({ ...WISH, address: play.provider })
      await play.owner.desk.decide(id, 'no')
      const names = (await heard).map(({ name, ask }) => [name, ask.id, ask.state])
      assert.deepEqual(names, [
        ['asked', id, 'pending'],
        ['decided', id, 'refused'],
      ])
      stop.abort()
    }),
  ]
}

/** From the beginning, so that it does not matter who was there first. */
async function firstAsk(desk: Desk, { signal }: AbortController): Promise<AskEvent> {
  for await (const told of desk.events({ after: '0-0', signal })) if ('ask' in told) return told
  throw new Error('nothing was told')
}
