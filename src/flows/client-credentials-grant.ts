import { clientCredentialsGrant, tokenRevocation } from 'openid-client'
import { ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { Client, FlowContext, RevokedPiece } from '../model/flow.ts'
import { Secret } from '../model/secret.ts'
import { configurationFor, type Use } from '../protocol/client.ts'
import { type FoundServers, findServer } from '../protocol/discovery.ts'
import { signingKey } from '../protocol/signing-key.ts'
import { revocationAnswer, tokenAnswer } from '../protocol/token-answer.ts'
import { type Meaning, troubleOf } from '../protocol/trouble.ts'
import type { Tokens } from './authorization-credential.ts'
import { resourceOf } from './authorization-server.ts'
import { blankless } from './filled.ts'
import { own, questions, type Values, varsOf } from './key-fields.ts'

const USUAL_SECONDS = 3600

const OVER: Meaning = ['access-revoked', 'the provider no longer knows this client']
const CLIENT_WORDS = ['invalid_client', 'unauthorized_client', 'invalid_grant']

/** All that is known by now of what the client is. */
export function knownBefore(context: FlowContext): Values {
  return Object.fromEntries(
    questions(context).flatMap(({ name }) => {
      const value = blankless(name, own(context.known, name))
      return value === '' ? [] : [[name, value]]
    }),
  )
}

/** One of the two by which a client proves itself has to be there. */
export function isWhole(values: Values): boolean {
  return own(values, 'clientSecret') !== undefined || own(values, 'privateKey') !== undefined
}

/** A token for the client, which its server is asked for once. */
export async function issue(
  context: FlowContext,
  values: Values,
  found: FoundServers,
  refused: Meaning,
): Promise<Credential> {
  const { signIn, now } = context
  const oauth = oauthOf(context)
  const use = await useOf(context, values, found)
  const config = configurationFor({ ...use, judge: tokenAnswer({ answers: oauth.answers, idToken: false }) })
  const scope = signIn.scopes.join(oauth.scopeSeparator)
  const wish = { ...resourceOf(oauth), ...(scope === '' ? {} : { scope }) }
  const meanings = Object.fromEntries(CLIENT_WORDS.map((word) => [word, refused]))
  const tokens: Tokens = await clientCredentialsGrant(config, wish).catch((error: unknown) => {
    throw troubleOf(error, meanings)
  })
  const seconds = tokens.expires_in ?? oauth.accessSeconds ?? USUAL_SECONDS
  return {
    worn: { accessToken: new Secret(tokens.access_token) },
    kept: sealed(values),
    standing: false,
    expiresAt: new Date(now().getTime() + seconds * 1000),
    scopes: tokens.scope?.split(/[ ,]+/).filter(Boolean) ?? signIn.scopes,
    tokenType: 'Bearer',
  }
}

/** The client that was filled in, at its server. */
async function useOf(context: FlowContext, values: Values, found: FoundServers): Promise<Omit<Use, 'judge'>> {
  const { provider, catalogue, network, now } = context
  const oauth = oauthOf(context)
  const { clientId = '', clientSecret, privateKey } = values
  const client: Client = {
    clientId,
    clientSecret: clientSecret === undefined ? undefined : new Secret(clientSecret),
  }
  const signing = privateKey === undefined ? undefined : signingKey(privateKey)
  const destination = catalogue.destination(provider, varsOf(context, values))
  const server = await findServer(network, oauth, destination, { found, now })
  return { server, client, clientAuth: oauth.clientAuth, signing, network, now }
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
  const client = revealed(kept)
  if (own(client, 'clientId') === undefined || !isWhole(client))
    throw new ValetkeyError('refresh-not-available', 'the client that a token is had for is not there')
  return issue(context, { ...knownBefore(context), ...client }, found, OVER)
}

const KEPT = ['clientId', 'clientSecret', 'privateKey'] as const

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

/** The token dies where its server has a place for that (RFC 7009). The client itself only a person ends. */
export async function end(
  context: FlowContext,
  { worn, kept }: Credential,
  found: FoundServers,
): Promise<readonly RevokedPiece[]> {
  const token = worn['accessToken']
  const { name, revoke } = context.provider
  const proof = kept['privateKey'] === undefined ? 'client secret' : 'private key'
  const how = `only you can end it, at ${context.signIn.console ?? revoke.at ?? name}`
  const pieces =
    token === undefined
      ? []
      : [await endToken(context, token, { ...knownBefore(context), ...revealed(kept) }, found)]
  return [...pieces, { what: proof, died: false, how }]
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
