import { randomBytes } from 'node:crypto'
import type { Configuration, JWKS } from 'oidc-provider'
import { USUAL_LIFE } from './choices.ts'
import type { Grants } from './grants.ts'
import { codePage, confirmPage, connectedPage } from './pages/device-pages.ts'
import { refusalPage } from './pages/refusal-page.ts'
import { claimsOf, PEOPLE } from './people.ts'
import { PRACTICE_CLIENT_ID, PROGRAM_CLIENT_ID, SCOPES } from './provider-file.ts'
import type { Store } from './store.ts'

const HOUR = 60 * 60
const FORTNIGHT = 14 * 24 * HOUR

/** Nobody stays signed in: the name is known, so that what a browser sends of it can be left out. */
export const SESSION_COOKIE = 'practice_session'

const THEIR_OWN = (
  _: unknown,
  client: { readonly clientId: string },
  token: { readonly clientId?: string | undefined },
) => token.clientId === client.clientId

/** Every default that the library would warn about is answered here, so it has nothing to say. */
export function configurationFor(
  store: Store,
  grants: Grants,
  { jwks, programSecret }: { readonly jwks: JWKS; readonly programSecret: string },
): Configuration {
  return {
    adapter: store.adapter,
    jwks,
    // A token of five seconds shall be dead after five seconds.
    clockTolerance: 0,
    clients: [practiceClient(), programClient(programSecret)],
    scopes: SCOPES,
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username', 'locale'],
      email: ['email', 'email_verified'],
    },
    findAccount: (_, sub) => accountOf(sub),
    pkce: { required: () => true },
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    loadExistingGrant: ({ oidc }) => {
      const grantId = oidc.result?.consent?.grantId
      return grantId === undefined ? undefined : oidc.provider.Grant.find(grantId)
    },
    rotateRefreshToken: ({ oidc }) => grants.find(oidc.entities.RefreshToken?.grantId)?.rotates ?? true,
    expiresWithSession: () => false,
    ttl: {
      AccessToken: (_, token) => grants.find(token.grantId)?.seconds ?? USUAL_LIFE,
      AuthorizationCode: 60,
      ClientCredentials: USUAL_LIFE,
      DeviceCode: HOUR / 6,
      IdToken: HOUR,
      Interaction: HOUR,
      Session: HOUR,
      RefreshToken: FORTNIGHT,
      Grant: FORTNIGHT,
    },
    cookies: {
      keys: [randomBytes(32).toString('base64url')],
      names: { session: SESSION_COOKIE, interaction: 'practice_interaction', resume: 'practice_resume' },
    },
    features: features(),
    renderError: (ctx, out) => void refusalPage(out).onto(ctx),
    clientBasedCORS: () => false,
    fetch: () => Promise.reject(new Error('the practice provider asks nobody')),
  }
}

function features(): Configuration['features'] {
  return {
    devInteractions: { enabled: false },
    rpInitiatedLogout: { enabled: false },
    resourceIndicators: { enabled: false },
    registration: { enabled: true },
    registrationManagement: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: THEIR_OWN },
    revocation: { enabled: true, allowedPolicy: THEIR_OWN },
    deviceFlow: {
      enabled: true,
      userCodeInputSource: (ctx, form, _, error) => void codePage(form, error !== undefined).onto(ctx),
      userCodeConfirmSource: (ctx, form, client, _, code) =>
        void confirmPage(form, client.clientName ?? client.clientId, code).onto(ctx),
      successSource: (ctx) => void connectedPage().onto(ctx),
    },
  }
}

function practiceClient() {
  return {
    client_id: PRACTICE_CLIENT_ID,
    client_name: 'Valetkey',
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    redirect_uris: ['http://127.0.0.1/'],
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
  } as const
}

function programClient(secret: string) {
  return {
    client_id: PROGRAM_CLIENT_ID,
    client_name: 'A program',
    client_secret: secret,
    token_endpoint_auth_method: 'client_secret_post',
    redirect_uris: [],
    response_types: [],
    grant_types: ['client_credentials'],
  } as const
}

function accountOf(sub: string) {
  const person = PEOPLE.find(({ id }) => id === sub)
  return person && { accountId: sub, claims: () => claimsOf(person) }
}
