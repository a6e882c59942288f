import type { JWTPayload } from 'jose'
import { ValetkeyError } from '#client'
import { Secret } from '../../model/secret.ts'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { flowContract } from '../../testing/flow-contract.ts'
import { hostileStage, signInBy } from '../../testing/oauth-stage.ts'
import { type SigningKey, signingKey, signJwt } from '../../testing/signing.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'
import { idJagFlow } from '../id-jag.ts'

// Two servers with opinions of their own: neither says how long anything lives, and both refuse without a word.

const OPAQUE = { status: 400, body: 'no', headers: { 'content-type': 'text/plain' } }
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag'
const rooms = { openCatalogue, openNetwork }

/** Vouches for whoever signed in there. */
async function idpAt(audience: string) {
  const idp = await hostileStage(rooms, { scopes: ['openid'], clientSecret: canary('idp') })
  const { credential } = await signInBy(authorizationCodeFlow(), idp.context, idp.there.consent)
  const idToken = credential.kept['idToken'] ?? new Secret('')
  const key = await signingKey('ES256')
  idp.there.play({
    token: async (_, form) =>
      form.get('subject_token') === idToken.reveal() && form.get('audience') === audience
        ? { body: { access_token: await assertion(key, idp.there.issuer, audience), ...NOT_A_TOKEN } }
        : OPAQUE,
  })
  return { ...idp, idToken }
}

const NOT_A_TOKEN = { issued_token_type: ID_JAG, token_type: 'N_A' }

function assertion(key: SigningKey, iss: string, aud: string): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const claims: JWTPayload = { iss, aud, sub: 'person-1', client_id: 'our client:1', iat: now, exp: now + 60 }
  return signJwt({ ...claims, jti: canary('jti') }, key, 'oauth-id-jag+jwt')
}

flowContract('id-jag, between two servers with opinions of their own', async () => {
  const from = { name: 'from', label: 'Account that vouches for you', secret: false }
  const notes = await hostileStage(rooms, { signIn: { flow: 'id-jag', fields: [from] }, scopes: ['read'] })
  const idp = await idpAt(notes.there.issuer)
  notes.there.play({
    token: ({ access_token, token_type }, form) =>
      form.has('assertion') ? { body: { access_token, token_type } } : OPAQUE,
    revoke: () => OPAQUE,
  })
  const { origin } = new URL(notes.there.issuer)
  const network = openNetwork({ allow: [origin, new URL(idp.there.issuer).origin] })
  const voucherAt = async (address: string) => {
    if (!['okta', 'acct-1'].includes(address)) throw new ValetkeyError('not-connected', 'nobody is there')
    return { account: 'acct-1', address: 'okta', context: idp.context, idToken: idp.idToken }
  }
  const fields = (address: string) => ({ fields: { from: new Secret(address) } })
  return {
    flow: () => idJagFlow(),
    context: { ...notes.context, network, voucherAt },
    answer: () => fields('okta'),
    wrongAnswer: () => fields('nobody'),
    secrets: [idp.idToken.reveal()],
    close: async () => {
      await network.close()
      await idp.close()
      await notes.close()
    },
  }
})
