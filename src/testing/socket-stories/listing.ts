import { expect } from 'vitest'
import { expectDone, expectRefused, type On, refusedIn, type SocketFacts, VERSIONS } from './play.ts'

export function listing(on: On, { sandboxed }: SocketFacts) {
  return [
    ...VERSIONS.map((version) =>
      on(
        `lists what this caller may use, in version ${version}`,
        async ({ client, facts: { lent, strange } }) => {
          const one = await client({ maxVersion: version })
          const { providers } = expectDone(await one.ask('list_providers'))
          expect(providers).toContain(lent?.provider)
          if (strange !== undefined) expect(providers).not.toContain(strange)
          const { buckets } = expectDone(await one.ask('list_buckets', { provider: lent?.provider }))
          expect(buckets).toContain(lent?.bucket ?? 'default')
        },
        ['lent'],
      ),
    ),

    on(
      'counts what was asked of each bucket',
      async ({ client, facts: { lent } }) => {
        const one = await client()
        expectDone(await one.ask('get_token', { ...lent }))
        expect(expectDone(await one.ask('get_bucket_stats', { ...lent }))).toEqual({
          bucket: lent?.bucket ?? 'default',
          requestCount: expect.any(Number),
          percentage: expect.any(Number),
          lastUsed: expect.any(Number),
        })
      },
      ['lent'],
    ),

    ...(sandboxed === false ? [] : ofStrangers(on)),

    on(
      'hands out a key to whom it may be shown',
      async ({ client, facts: { key } }) => {
        const one = await client()
        expect(expectDone(await one.ask('get_api_key', { name: key }))).toEqual({
          key: expect.stringMatching(/\S/),
        })
        expect(expectDone(await one.ask('has_api_key', { name: key }))).toEqual({ exists: true })
        expect(expectDone(await one.ask('list_api_keys'))['keys']).toContain(key)
      },
      ['key'],
    ),

    ...VERSIONS.map((version) =>
      on(
        `hands out no key that it only forwards with, in version ${version}`,
        async ({ client, facts }) => {
          const one = await client({ maxVersion: version })
          expectRefused(await one.ask('get_api_key', { name: facts.forwardedKey }), refusedIn(version))
        },
        ['forwardedKey'],
      ),
    ),

    on('knows no key that is not there', async ({ client }) => {
      const one = await client()
      expectRefused(await one.ask('get_api_key', { name: 'no-such-provider' }), 'NOT_FOUND', 'FORBIDDEN')
      for (const op of ['get_api_key', 'has_api_key']) expectRefused(await one.ask(op), 'INVALID_REQUEST')
      const has = await one.ask('has_api_key', { name: 'no-such-provider' })
      if (has.ok) expect(has.data).toEqual({ exists: false })
      else expectRefused(has, 'FORBIDDEN')
    }),

    on(
      'takes a token for no key',
      async ({ client, facts: { lent } }) => {
        const { provider, bucket } = lent ?? { provider: '' }
        const name = bucket === undefined ? provider : `${provider}/${bucket}`
        const one = await client()
        expectRefused(await one.ask('get_api_key', { name }), 'NOT_FOUND')
        expect(expectDone(await one.ask('has_api_key', { name }))).toEqual({ exists: false })
      },
      ['lent'],
    ),
  ]
}

function ofStrangers(on: On) {
  return [
    on(
      'tells nothing of the buckets of what is not for this caller',
      async ({ client, facts: { strange } }) => {
        const answer = await (await client()).ask('list_buckets', { provider: strange })
        if (answer.ok) expect(answer.data).toEqual({ buckets: [] })
        else expectRefused(answer, 'FORBIDDEN')
      },
      ['strange'],
    ),
  ]
}
