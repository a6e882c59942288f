import { expect } from 'vitest'
import { expectDone, expectRefused, type On, refusedIn, type SocketFacts, VERSIONS } from './play.ts'

const OPS = ['get_token', 'refresh_token', 'remove_token', 'save_token', 'get_bucket_stats', 'list_buckets']

export function tokens(on: On, { sandboxed }: SocketFacts) {
  return [
    ...VERSIONS.map((version) =>
      on(
        `serves a token that lives, and never what would renew it, in version ${version}`,
        async (play) => {
          const one = await play.client({ maxVersion: version })
          for (const op of ['get_token', 'refresh_token']) {
            const data = expectDone(await one.ask(op, { ...play.facts.lent }))
            expect(data).toMatchObject({
              access_token: expect.stringMatching(/\S/),
              token_type: expect.stringMatching(/\S/),
              expiry: expect.any(Number),
            })
            expect(Number.isInteger(data['expiry'])).toBe(true)
          }
        },
        ['lent'],
      ),
    ),

    on(
      'serves one that lives as long as it is asked to',
      async ({ client, facts: { lent } }) => {
        const one = await client()
        expectDone(await one.ask('get_token', { ...lent, minValidity: 300 }))
        for (const minValidity of [-1, '300', {}, true])
          expectRefused(await one.ask('get_token', { ...lent, minValidity }), 'INVALID_REQUEST')
      },
      ['lent'],
    ),

    on('wants to be told which account', async ({ client, facts: { lent } }) => {
      const one = await client()
      for (const op of OPS)
        for (const payload of [{}, { provider: '' }, { provider: 7 }, { provider: null }])
          expectRefused(await one.ask(op, payload), 'INVALID_REQUEST')
      expectRefused(await one.ask('save_token', { ...(lent ?? { provider: 'x' }) }), 'INVALID_REQUEST')
      expectRefused(
        await one.ask('save_token', { ...(lent ?? { provider: 'x' }), token: 'text' }),
        'INVALID_REQUEST',
      )
    }),

    // Everything is for the owner.
    ...(sandboxed === false ? [] : ofStrangers(on)),
    ...(sandboxed === true ? ofSandboxes(on) : []),
  ]
}

function ofSandboxes(on: On) {
  return [
    on(
      'serves what a sandbox saved to that sandbox, without anything to renew it',
      async (play) => {
        const { lent } = play.facts
        const one = await play.client()
        const before = expectDone(await one.ask('get_token', { ...lent }))
        const expiry = Math.floor(Date.now() / 1000) + 1e9
        const token = { access_token: 'saved-by-a-sandbox', refresh_token: 'dropped', expiry }
        expect(expectDone(await one.ask('save_token', { ...lent, token }))).toEqual({})
        expect(expectDone(await one.ask('get_token', { ...lent }))).toEqual({
          access_token: 'saved-by-a-sandbox',
          token_type: 'Bearer',
          expiry,
        })
        expect(expectDone(await one.ask('remove_token', { ...lent }))).toEqual({})
        const after = expectDone(await one.ask('get_token', { ...lent }))
        expect(after).toMatchObject({ access_token: before['access_token'] })
      },
      ['lent'],
    ),

    on(
      'lets no sandbox take away what others use as well',
      async ({ client, facts: { lent } }) => {
        const one = await client()
        expectRefused(await one.ask('remove_token', { ...lent }), 'FORBIDDEN', 'NOT_FOUND')
        expectDone(await one.ask('get_token', { ...lent }))
      },
      ['lent'],
    ),
  ]
}

function ofStrangers(on: On) {
  return [
    ...VERSIONS.map((version) =>
      on(
        `serves nothing of what is not for this caller, in version ${version}`,
        async ({ client, facts }) => {
          const one = await client({ maxVersion: version })
          for (const op of ['get_token', 'refresh_token', 'remove_token', 'get_bucket_stats'])
            expectRefused(await one.ask(op, { provider: facts.strange }), 'NOT_FOUND', refusedIn(version))
          const token = { access_token: 'x' }
          expectRefused(
            await one.ask('save_token', { provider: facts.strange, token }),
            'NOT_FOUND',
            refusedIn(version),
          )
        },
        ['strange'],
      ),
    ),
  ]
}
