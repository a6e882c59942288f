import { clientCredentialsGrant, tokenRevocation } from 'openid-client'
import { type ErrorCode, ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { Client, FlowContext, RevokedPiece } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import type { Judge } from '../../protocol/ask.ts'
import { configurationFor, proofsFor, type Use } from '../../protocol/client.ts'
import { type FoundServers, findServer } from '../../protocol/discovery.ts'
import { revocationAnswer, tokenAnswer } from '../../protocol/token-answer.ts'
import { type Meaning, troubleOf } from '../../protocol/trouble.ts'
import type { Tokens } from '../authorization/credential.ts'
import { resourceOf } from '../authorization/server.ts'
import { knownBefore } from '../filled/form.ts'
import { own, type Values, varsOf } from '../filled/key-fields.ts'
import { ownScopes, saidIn } from '../filled/own-scopes.ts'
import { bindTo, boundBy, keyToBindTo } from '../issued/bound.ts'

const USUAL_SECONDS = 3600

const OVER: Meaning = ['access-revoked', 'the provider no longer knows this client']
const CLIENT_WORDS = ['invalid_client', 'unauthorized_client', 'invalid_grant']

/** What it proves itself by is there: a certificate with its key, a key, or a secret, as its server wants it. */
export function isWhole(context: FlowContext, values: Values): boolean {
  const has = (name: string) => own(values, name) !== undefined
  if (!has('clientId')) return false
  const { clientAuth } = oauthOf(context)
  if (clientAuth === 'none') return true
  if (clientAuth === 'tls' || has('certificate')) return has('certificate') && has('privateKey')
  return has('privateKey') || (has('clientSecret') && clientAuth !== 'private_key_jwt')
}

interface Issuing {
  /** What it means that the client is refused. */
  readonly refused: Meaning
  /** What it means that it is refused without a word; unsaid, that is nothing to go by. */
  readonly wordless?: Meaning
  readonly dpopKey?: Secret | undefined
}

/** A token for the client, which its server is asked for once; bound to a key where that is asked for. */
export async function issue(
  context: FlowContext,
  values: Values,
  found: FoundServers,
  { refused, wordless, dpopKey }: Issuing,
): Promise<Credential> {
  const { signIn, now } = context
  const oauth = oauthOf(context)
  const use = await useOf(context, values, found)
  const key = dpopKey ?? (await keyToBindTo(oauth, use.server))
  const { bound } = await boundBy(key)
  const spoken = tokenAnswer({ ...oauth, idToken: false, bound: bound !== undefined })
  const judge = wordless === undefined ? spoken : heard(spoken, wordless)
  const config = configurationFor({ ...use, bound, judge })
  const scopes = [...new Set([...signIn.scopes, ...ownScopes(values)])]
  const scope = scopes.join(oauth.scopeSeparator)
  const wish = { ...resourceOf(oauth), ...(scope === '' ? {} : { [oauth.scopeParam]: scope }) }
  const meanings = Object.fromEntries(CLIENT_WORDS.map((word) => [word, refused]))
  const asking = clientCredentialsGrant(config, wish, proofsFor(config, { bound }))
  const tokens: Tokens = await asking.catch((error: unknown) => {
    throw troubleOf(error, meanings)
  })
  const seconds = tokens.expires_in ?? oauth.accessSeconds ?? USUAL_SECONDS
  const credential: Credential = {
    worn: { accessToken: new Secret(tokens.access_token) },
    kept: sealed(values),
    standing: false,
    expiresAt: new Date(now().getTime() + seconds * 1000),
    scopes: tokens.scope?.split(/[ ,]+/).filter(Boolean) ?? scopes,
    tokenType: 'Bearer',
  }
  return bindTo(credential, key)
}

const REFUSALS = [400, 401, 403]
const UNEXPLAINED: readonly ErrorCode[] = ['bad-answer', 'provider-not-configured']

/** A refusal that says nothing, while somebody fills in the client, is hardly about anything else. */
function heard(judge: Judge, [code, message]: Meaning): Judge {
  return async (answer) => {
    try {
      return await judge(answer)
    } catch (error) {
      const isWordless = error instanceof ValetkeyError && UNEXPLAINED.includes(error.code)
      throw isWordless && REFUSALS.includes(answer.status) ? new ValetkeyError(code, message) : error
    }
  }
}

/** The client that was filled in, at its server. */
async function useOf(context: FlowContext, values: Values, found: FoundServers): Promise<Omit<Use, 'judge'>> {
  const { provider, catalogue, network, now } = context
  const oauth = oauthOf(context)
  const destination = catalogue.destination(provider, varsOf(context, values))
  const server = await findServer(network, oauth, destination, { found, now })
  return { server, client: clientIn(values), oauth, network, now }
}

function clientIn(values: Values): Client {
  const secret = (name: string) => {
    const value = own(values, name)
    return value === undefined ? undefined : new Secret(value)
  }
  return {
    clientId: own(values, 'clientId') ?? '',
    clientSecret: secret('clientSecret'),
    privateKey: secret('privateKey'),
    certificate: secret('certificate'),
  }
}

function oauthOf({ provider }: FlowContext) {
  if (provider.oauth !== undefined) return provider.oauth
  throw new ValetkeyError('provider-not-configured', `${provider.name} names no server to ask for a token`)
}

/** The same again: nothing but the client is needed for it. */
export async function renew(
  context: FlowContext,
  kept: Credential['kept'],
  found: FoundServers,
): Promise<Credential> {
  const { dpopKey, ...proof } = kept
  const client = revealed(proof)
  if (!isWhole(context, client))
    throw new ValetkeyError('refresh-not-available', 'the client that a token is had for is not there')
  return issue(context, { ...knownBefore(context), ...client }, found, { refused: OVER, dpopKey })
}

const KEPT = ['clientId', 'clientSecret', 'privateKey', 'certificate'] as const

/** What was said besides the client, such as its scopes: no secret, and wanted again at each renewal. */
export function saidBeside({ signIn }: FlowContext, values: Values): Values {
  const others = signIn.fields.filter(({ name }) => KEPT.every((kept) => kept !== name))
  return saidIn({ fields: others }, values)
}

function sealed(values: Values): Credential['kept'] {
  return Object.fromEntries(
    KEPT.flatMap((name) => {
      const value = own(values, name)
      return value === undefined ? [] : [[name, new Secret(value)]]
    }),
  )
}

function revealed(kept: Credential['kept']): Values {
  return Object.fromEntries(Object.entries(kept).map(([name, secret]) => [name, secret.reveal()]))
}

const PROOFS = [
  ['clientSecret', 'client secret'],
  ['privateKey', 'private key'],
] as const

/** The token dies where its server has a place for that (RFC 7009). The client itself only a person ends. */
export async function end(
  context: FlowContext,
  { worn, kept }: Credential,
  found: FoundServers,
): Promise<readonly RevokedPiece[]> {
  const token = worn['accessToken']
  const { name, revoke } = context.provider
  const how = `only you can end it, at ${context.signIn.console ?? revoke.at ?? name}`
  const proofs = PROOFS.flatMap(([field, what]) =>
    kept[field] === undefined ? [] : [{ what, died: false, how }],
  )
  const pieces =
    token === undefined
      ? []
      : [await endToken(context, token, { ...knownBefore(context), ...revealed(kept) }, found)]
  return [...pieces, ...proofs]
}

async function endToken(
  context: FlowContext,
  token: Secret,
  values: Values,
  found: FoundServers,
): Promise<RevokedPiece> {
  const what = 'access token'
  try {
    const use = await useOf(context, values, found)
    if (use.server.revoke === undefined)
      return { what, died: false, how: 'the provider names no place to end it' }
    const config = configurationFor({ ...use, judge: revocationAnswer })
    await tokenRevocation(config, token.reveal(), { token_type_hint: 'access_token' })
    return { what, died: true, how: 'ended at the provider' }
  } catch (error) {
    const { message: how, retryable, retryAfter } = troubleOf(error)
    return {
      what,
      died: false,
      how,
      ...(retryable && { again: retryAfter === undefined ? {} : { after: retryAfter } }),
    }
  }
}
