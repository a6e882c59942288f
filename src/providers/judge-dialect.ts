import { wornFields } from '../model/provider/worn.ts'
import type { OAuth, Provider, SignIn } from '../model/provider.ts'
import { isScope } from '../protocol/scopes.ts'
import type { Flaw } from './judge-host.ts'
import { flawsOfEndpoint, issuedBy } from './judge-oauth.ts'
import { placeholders } from './template.ts'

// In what a provider may be other than the standard, and still not speak in our place.

/** What a request to the token endpoint says of itself. */
const OURS = new Set([
  'grant_type',
  'code',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'redirect_uri',
  'code_verifier',
  'refresh_token',
  'device_code',
  'resource',
])
/** And one to the place where a code to enter is had. */
const OURS_AT_DEVICE = new Set(['client_id', 'client_secret', 'scope', 'code_challenge', 'resource'])
/** Set by the way out itself, or how our client shows itself. */
const NOT_SAID = new Set([
  'host',
  'connection',
  'content-length',
  'content-type',
  'transfer-encoding',
  'authorization',
  'dpop',
])
/** By which scopes can be asked for: nothing that means something else. */
const TAKEN = new Set([
  'state',
  'nonce',
  'response_type',
  'response_mode',
  'prompt',
  'request',
  'request_uri',
  ...OURS,
])

export function* flawsOfDialect(provider: Provider): Generator<Flaw> {
  const { oauth } = provider
  if (oauth === undefined) return
  yield* flawsOfTokenRequests(oauth, new Set(provider.vars.map(({ name }) => name)))
  yield* flawsOfDevice(provider, oauth)
  if (TAKEN.has(oauth.scopeParam)) yield { field: 'oauth.scopeParam', words: 'means something else' }
  if (oauth.shape?.in !== undefined && oauth.shape.in === oauth.shape.ok)
    yield { field: 'oauth.shape.ok', words: 'cannot be where the tokens are' }
}

function* flawsOfTokenRequests(oauth: OAuth, vars: ReadonlySet<string>): Generator<Flaw> {
  const { tokenParams, codeParams, tokenHeaders, clientAuth } = oauth
  for (const [field, params] of Object.entries({ tokenParams, codeParams }))
    for (const [name, value] of Object.entries(params)) {
      if (OURS.has(name)) yield { field: `oauth.${field}.${name}`, words: 'is not for a provider to set' }
      const known = (one: string) => field === 'codeParams' && (one === 'state' || vars.has(one))
      const unknown = placeholders(value).find((one) => !known(one))
      if (unknown !== undefined)
        yield {
          field: `oauth.${field}.${name}`,
          words: `names {${unknown}}, which is nothing that is known then`,
        }
    }
  for (const [name, value] of Object.entries(tokenHeaders)) {
    const field = `oauth.tokenHeaders.${name}`
    if (NOT_SAID.has(name) && !(name === 'authorization' && clientAuth === 'none'))
      yield { field, words: 'is not for a provider to set' }
    if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value))
      yield { field, words: 'must be visible ASCII' }
  }
}

function* flawsOfDevice(provider: Provider, { device }: OAuth): Generator<Flaw> {
  if (device === undefined) return
  for (const name of ['authorize', 'token', 'verify', 'redirect'] as const)
    yield* flawsOfEndpoint(provider, device[name], `oauth.device.${name}`)
  for (const name of Object.keys(device.params))
    if (OURS_AT_DEVICE.has(name))
      yield { field: `oauth.device.params.${name}`, words: 'is not for a provider to set' }
  if (device.yields === 'code' && !device.redirect)
    yield { field: 'oauth.device.redirect', words: 'is missing, to which its code was brought' }
}

/** What one way in says besides, which has to be possible there. */
export function* flawsOfWay(provider: Provider, signIn: SignIn, at: string): Generator<Flaw> {
  yield* flawsOfWishes(provider, signIn, at)
  yield* flawsOfVerification(signIn, at)
  const { mint, present } = signIn
  if (mint === undefined) return
  const worn = present.flatMap(wornFields)
  const known = [...signIn.fields.map(({ name }) => name), ...issuedBy(provider, signIn)]
  if (mint.how.startsWith('aws-') && !present.some((way) => 'sigv4' in way))
    yield { field: `${at}.mint.how`, words: 'needs to be worn by sigv4' }
  if (!worn.some((name) => known.includes(name)))
    yield { field: `${at}.mint`, words: 'has nothing that it could be had for' }
  if ((mint.how === 'token-exchange' || mint.how === 'google-impersonation') && !provider.oauth)
    yield { field: `${at}.mint.how`, words: 'needs oauth' }
}

function* flawsOfWishes(
  { oauth }: Provider,
  { scopes, optionalScopes }: SignIn,
  at: string,
): Generator<Flaw> {
  const names = optionalScopes.map(({ name }) => name)
  const field = `${at}.optionalScopes`
  if (names.length > 0 && !oauth) yield { field, words: 'needs oauth' }
  if (!names.every(isScope))
    yield { field, words: 'must be visible ASCII, without spaces, quotes and backslashes' }
  const twice = names.find((name, i) => names.indexOf(name) !== i || scopes.includes(name))
  if (twice !== undefined) yield { field, words: `asks for "${twice}" twice` }
}

function* flawsOfVerification({ verify }: SignIn, at: string): Generator<Flaw> {
  if (verify === undefined) return
  if (verify.json !== undefined && verify.method === 'GET')
    yield { field: `${at}.verify.json`, words: 'cannot be sent with GET' }
  if (verify.ok.some((status) => verify.refused.includes(status)) && verify.okAt === undefined)
    yield { field: `${at}.verify.ok`, words: 'cannot be a refusal at once' }
}
