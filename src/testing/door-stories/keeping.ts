import assert from 'node:assert/strict'
import { THE_PERSON } from '../../model/caller.ts'
import type { Check } from '../check.ts'
import { type On, refusalOf, refuses } from './play.ts'

/** How long an event may take that has already happened. */
const PATIENCE_MS = 3000

export function keeping(on: On): readonly Check[] {
  return [
    on('says how the vault stands; locks it, and unlocks it again', async (play) => {
      const { keeper, desk } = play.owner
      await play.connect()
      assert.equal((await keeper.status()).locked, false)
      assert.equal((await keeper.lock()).locked, true)
      await refuses(desk.accounts(), 'locked')
      await refuses(desk.forward({ address: play.provider, method: 'GET', path: '/' }), 'locked')
      assert.equal((await keeper.unlock()).locked, false)
      assert.equal((await desk.accounts()).length, 1)
    }),
    on('shows the record: who, how proved, what, and what came of it', async (play) => {
      await play.connect()
      const { owner, provider } = play
      const since = new Date().toISOString()
      await refusalOf(owner.desk.lend({ address: provider }))
      const [entry] = await owner.desk.audit({ verb: 'lend', since, limit: 1 })
      assert.equal(entry?.caller, THE_PERSON)
      assert.equal(entry?.target, provider)
      assert.equal(entry?.outcome, 'refused')
      assert.equal(entry?.code, 'forward-only')
      assert.ok(entry?.proof, 'nothing says how the caller was proved')
      assert.equal((await owner.keeper.verifyAudit()).ok, true)
      assert.equal((await owner.keeper.pruneAudit(new Date().toISOString())).ok, true)
    }),
    on('tells what changes, and goes on after the last event that was seen', async (play) => {
      const stop = new AbortController()
      const events = play.owner.desk.events({ signal: stop.signal })[Symbol.asyncIterator]()
      const first = events.next()
      await soon()
      await play.connect()
      const connected = (await first).value
      assert.equal(connected?.name, 'connected')
      assert.equal(connected?.account.providerId, play.provider)
      await play.owner.desk.revoke(play.provider)
      stop.abort()
      await events.return?.()
      const signal = AbortSignal.timeout(PATIENCE_MS)
      const later = play.owner.desk.events({ after: connected?.id ?? '', signal })[Symbol.asyncIterator]()
      const missed = await later.next()
      assert.equal(missed.value?.name, 'revoked', 'what happened in between was not told')
      await later.return?.()
    }),
    on('exports what it keeps under a passphrase, and shows none of it', async (play) => {
      await play.connect()
      const document = await play.owner.keeper.export('a passphrase of its own')
      assert.ok(document.length > 0)
      assert.ok(!document.includes(play.key))
    }),
  ]
}

/** Long enough for a listener to have begun to listen. */
function soon(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 100))
}
