import { afterEach, describe, expect, it } from 'vitest'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { hostileStage, signInBy } from '../../testing/oauth-stage.ts'
import type { StandInAnswer } from '../../testing/stand-in.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'

let stage: Awaited<ReturnType<typeof hostileStage>>
afterEach(() => stage?.close())

async function signIn(answer: StandInAnswer, signInFile: object = {}) {
  stage = await hostileStage({ openCatalogue, openNetwork }, { scopes: ['profile'], signIn: signInFile })
  const asked: URLSearchParams[] = []
  stage.there.play({
    introspect: (form) => {
      asked.push(form)
      return answer
    },
  })
  const done = signInBy(authorizationCodeFlow(), stage.context, stage.there.consent)
  return { asked, done: await done.catch((error: unknown) => ({ error })) }
}

describe('what was just issued, where nothing shows whose it is', () => {
  it('[security 7.3] is asked about at its server, which tells that it is alive and whose', async () => {
    const { asked, done } = await signIn({ body: { active: true, sub: 'person-1', username: 'zoe' } })
    expect(done).toMatchObject({ profile: { subject: 'person-1', displayName: 'zoe' } })
    expect(asked.map((form) => form.get('token'))).toEqual([expect.stringContaining('access')])
    expect(asked[0]?.get('token_type_hint')).toBe('access_token')
  })

  it.each([[false], ['true'], [1], [null], [undefined]])(
    '[security 7.3] is alive only where that is true, and not where it says %j',
    async (active) => {
      const { done } = await signIn({ body: { active, sub: 'person-1' } })
      expect(done).toMatchObject({ error: { code: 'exchange-failed' } })
    },
  )

  it.each([
    ['is of a kind that is not answered for', { status: 400, body: { error: 'unsupported_token_type' } }],
    ['is nothing that this client may ask about', { status: 403, body: { error: 'access_denied' } }],
    ['is asked about in vain', { status: 503 }],
    ['is answered for by a page', { headers: { 'content-type': 'text/html' }, body: 'no' }],
  ])('[security 7.3] is taken all the same where it %s', async (_, answer) => {
    const { asked, done } = await signIn(answer)
    expect(asked).toHaveLength(1)
    expect(done).toMatchObject({ profile: { subject: null } })
  })

  it('is not asked about where the provider has a request of its own for that', async () => {
    const verify = { url: 'https://api.acme.test/me', subject: '/id' }
    const { asked } = await signIn({ body: { active: true } }, { verify })
    expect(asked).toEqual([])
  })
})
