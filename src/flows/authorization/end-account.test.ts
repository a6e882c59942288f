import { afterEach, describe, expect, it } from 'vitest'
import type { Credential } from '../../model/credential.ts'
import { Secret } from '../../model/secret.ts'
import { openNetwork } from '../../network/network.ts'
import { readBuiltIn } from '../../providers/built-in.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { type StandInAnswer, standIn } from '../../testing/stand-in.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const clientSecret = `sk_test_${canary('platform')}`
const [access, refresh] = [`sk_test_${canary('access')}`, `rt_${canary('refresh')}`]
const BY_HAND = 'only you can end it, at https://dashboard.stripe.com/apikeys'

const credential: Credential = {
  worn: { accessToken: new Secret(access) },
  kept: { refreshToken: new Secret(refresh) },
  standing: true,
  expiresAt: null,
  scopes: ['read_only'],
  tokenType: 'Bearer',
}

/** Stripe as its file says, at a stand-in that answers its end in one way. */
async function atStripe(answer: StandInAnswer, account?: string) {
  const there = await standIn({ 'POST /oauth/deauthorize': answer }).listen()
  const catalogue = openCatalogue({ builtIn: readBuiltIn(), own: [], origins: { stripe: there.origin } })
  const network = openNetwork({ allow: [there.origin] })
  closing.push(network.close, there.close)
  const provider = catalogue.find('stripe', 'authorization-code')
  const signIn = provider?.signIns.find(({ flow }) => flow === 'authorization-code')
  if (!provider || !signIn) throw new Error('there is no Stripe')
  const context = {
    provider,
    signIn,
    catalogue,
    network,
    now: () => new Date(),
    newId: () => 'one',
    known: account === undefined ? {} : { account: new Secret(account) },
    insist: false,
    client: { clientId: 'ca_one', clientSecret: new Secret(clientSecret) },
    redirectUri: undefined,
    state: undefined,
  }
  return { there, pieces: await authorizationCodeFlow().revoke(context, credential) }
}

describe('an end that names whose tokens they are', () => {
  it('shows none of them, and ends them all', async () => {
    const { there, pieces } = await atStripe(
      { body: { stripe_user_id: 'acct_1032D82eZvKYlo2C' } },
      'acct_1032D82eZvKYlo2C',
    )
    expect(pieces).toEqual([
      { what: 'refresh token', died: true, how: 'ended at the provider' },
      { what: 'access token', died: true, how: 'ended at the provider' },
    ])
    const [request] = there.requests
    const body = Object.fromEntries(new URLSearchParams(String(await request?.body)))
    expect(body).toEqual({ client_id: 'ca_one', stripe_user_id: 'acct_1032D82eZvKYlo2C' })
    expect(request?.headers['authorization']).toBe(`Bearer ${clientSecret}`)
  })

  it('ends none of them where it is refused', async () => {
    const { pieces } = await atStripe(
      { status: 401, body: { error: 'invalid_client' } },
      'acct_1032D82eZvKYlo2C',
    )
    const how = `the provider does not accept this client; ${BY_HAND}`
    expect(pieces).toEqual([
      { what: 'refresh token', died: false, how },
      { what: 'access token', died: false, how },
    ])
  })

  it('is not asked for while nobody knows whose they are', async () => {
    const { there, pieces } = await atStripe({ body: {} })
    expect(there.requests).toEqual([])
    expect(pieces.map(({ died }) => died)).toEqual([false, false])
    expect(pieces[0]?.how).toContain('nobody knows whose access that would end')
  })
})
