import assert from 'node:assert/strict'
import { THE_PERSON } from '../../model/caller.ts'
import type { Check } from '../check.ts'
import { APP, type On, refusalOf, refuses } from './play.ts'

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
      const pruned = owner.keeper.pruneAudit(new Date().toISOString())
      if (owner.byCookie) await refuses(pruned, 'not-allowed')
      else assert.equal((await pruned).ok, true)
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
    on('lets the owner at a page lock and unlock, and not take the vault away', async (play) => {
      await play.connect()
      const { keeper, desk } = await play.page()
      const past = new Date(0).toISOString()
      for (const [verb, asked] of [
        ['export', () => keeper.export('a passphrase of the page')],
        ['import', () => keeper.import('{}', 'a passphrase of the page')],
        ['rekey', () => keeper.rekey({ source: 'environment' })],
        ['revoke-everything', () => keeper.revokeEverything()],
        ['revoke-everything', () => keeper.revokeEverything(THE_PERSON)],
        ['erase-owner', () => keeper.eraseOwner(THE_PERSON)],
        ['accept-restore', () => keeper.acceptRestore()],
        ['prune-audit', () => keeper.pruneAudit(past)],
      ] as const) {
        const refusal = await refuses(asked(), 'not-allowed')
        assert.match(refusal.hint ?? '', /^valetkey /, `${verb} does not say what to type in the terminal`)
        const [entry] = await desk.audit({ verb, limit: 1 })
        assert.equal(entry?.outcome, 'refused', `that ${verb} was refused is not on record`)
      }
      assert.equal((await keeper.status()).accounts, 1)
      assert.equal((await keeper.lock()).locked, true)
      assert.equal((await keeper.unlock()).locked, false)
    }),
    on("ends everybody's accounts, and erases an owner, with what became of it elsewhere", async (play) => {
      await play.connect()
      const { keeper, byCookie } = play.owner
      if (byCookie) return void (await refuses(keeper.revokeEverything(), 'not-allowed'))
      assert.deepEqual(await keeper.revokeEverything('person:nobody'), [])
      const [receipt] = await keeper.revokeEverything()
      assert.deepEqual([receipt?.address, receipt?.lines[0]?.state], [play.provider, 'alive'])
      await play.connect()
      assert.deepEqual(
        (await keeper.eraseOwner(THE_PERSON)).map(({ address }) => address),
        [play.provider],
      )
    }),
    on('exports what it keeps under a passphrase, and shows none of it', async (play) => {
      await play.connect()
      const exported = play.owner.keeper.export('a passphrase of its own')
      if (play.owner.byCookie) return void (await refuses(exported, 'not-allowed'))
      const document = await exported
      assert.ok(document.length > 0)
      assert.ok(!document.includes(play.key))
    }),
    on('takes in what was exported, account by account, and says what became of each', async (play) => {
      const { owner, provider } = play
      if (owner.byCookie) return
      await play.connect()
      const passphrase = 'a passphrase of its own'
      await owner.desk.bind({ caller: APP, address: provider, may: ['forward'], asks: 'never' })
      const document = await owner.keeper.export(passphrase)
      const outcomes = async (replace?: boolean) =>
        (await owner.keeper.import(document, passphrase, replace === undefined ? {} : { replace })).map(
          ({ address, outcome }) => [address, outcome],
        )
      assert.deepEqual(await outcomes(), [[provider, 'kept']])
      assert.deepEqual(await outcomes(true), [[provider, 'replaced']])
      await owner.desk.revoke(provider)
      assert.deepEqual(await outcomes(false), [[provider, 'imported']])
      const answer = await owner.desk.forward({ address: provider, method: 'GET', path: '/' })
      assert.equal(answer.status, 200)
      const bound = (await owner.desk.bindings()).map(({ caller, may }) => [caller, may])
      assert.deepEqual(bound, [[APP, ['forward']]], 'who may use it did not move along')
      await refuses(owner.keeper.import(document, 'another passphrase'), 'wrong-key')
      await refuses(owner.keeper.import(document.slice(0, -20), passphrase), 'invalid-request')
      const { keeper } = await play.as(APP)
      await refuses(keeper.import(document, passphrase), 'not-allowed')
    }),
  ]
}

/** Long enough for a listener to have begun to listen. */
function soon(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 500))
}
