import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext, RevokedPiece } from '../../model/flow.ts'
import type { OAuth } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import type { Judge } from '../../protocol/ask.ts'
import { byAssertion, signed } from '../../protocol/assertion.ts'
import { type FoundServers, findServer } from '../../protocol/discovery.ts'
import type { Server } from '../../protocol/server.ts'
import { type Meaning, troubleOf } from '../../protocol/trouble.ts'
import type { Tokens } from '../authorization/credential.ts'
import { own, type Values, varsOf } from '../filled/key-fields.ts'
import { ownScopes } from '../filled/own-scopes.ts'
import { assertionOf, DOCUMENT, type Key, PARTS, readKey } from './key.ts'

/** What is asked of the server, and how its words are taken. */
export interface Wish {
  readonly values: Values
  readonly scopes: readonly string[]
  readonly judge: Judge
  readonly meanings: Readonly<Record<string, Meaning>>
}

export interface Issued {
  readonly credential: Credential
  readonly key: Key
}

/** A token for the key, which its server is asked for once. Nothing but a signature leaves us. */
export async function issue(context: FlowContext, wish: Wish, found: FoundServers): Promise<Issued> {
  const { now, network, newId } = context
  const oauth = oauthOf(context)
  const { values, judge, meanings } = wish
  const destination = context.catalogue.destination(context.provider, varsOf(context, values))
  const server = await findServer(network, oauth, destination, { found, now })
  const key = readKey(context, values, ownEndpoints(oauth, server))
  const { seconds } = assertionOf(context)
  const scope = wish.scopes.length === 0 ? undefined : wish.scopes.join(oauth.scopeSeparator)
  const assertion = await signed(key.privateKey, {
    ...key,
    audience: key.endpoint ?? oauth.token ?? server.token,
    subject: own(values, 'subject'),
    scope,
    seconds,
    id: newId(),
    now: now(),
  })
  const tokens = await byAssertion({ server, network, now, judge }, assertion, oauth.tokenParams).catch(
    (error: unknown) => {
      throw troubleOf(error, meanings)
    },
  )
  return {
    credential: credentialOf(tokens, wish, Math.min(tokens.expires_in ?? seconds, seconds), now()),
    key,
  }
}

/** The endpoint as the provider declares it, and where it is reached. */
function ownEndpoints({ token }: OAuth, server: Server): readonly string[] {
  return [server.token, ...(token === undefined ? [] : [token])]
}

export function oauthOf({ provider }: FlowContext): OAuth {
  if (provider.oauth !== undefined) return provider.oauth
  throw new ValetkeyError('provider-not-configured', `${provider.name} names no server to ask for a token`)
}

function credentialOf(tokens: Tokens, { values, scopes }: Wish, seconds: number, now: Date): Credential {
  const told = tokens.scope?.split(/[ ,]+/).filter(Boolean) ?? []
  return {
    worn: { accessToken: new Secret(tokens.access_token) },
    kept: sealed(values),
    standing: false,
    expiresAt: new Date(now.getTime() + seconds * 1000),
    scopes: told.length > 0 ? told : scopes,
    tokenType: 'Bearer',
  }
}

const KEPT = [DOCUMENT, ...PARTS, 'subject'] as const

/** What was given, as it was given: the next token is asked for with it. */
function sealed(values: Values): Credential['kept'] {
  return Object.fromEntries(
    KEPT.flatMap((name) => {
      const value = own(values, name)
      return value === undefined ? [] : [[name, new Secret(value)]]
    }),
  )
}

export function revealed(kept: Credential['kept']): Values {
  return Object.fromEntries(
    KEPT.flatMap((name) => {
      const secret = own(kept, name)
      return secret === undefined ? [] : [[name, secret.reveal()]]
    }),
  )
}

/** Whoever says what for gets that and no more; otherwise it is what such keys are used for. */
export function scopesOf(context: FlowContext, values: Values): readonly string[] {
  const all = [...new Set([...context.signIn.scopes, ...ownScopes(values)])]
  return all.length > 0 ? all : assertionOf(context).usual
}

/** Only a person ends such a key; what was issued for it dies by itself. */
export function end(context: FlowContext, { kept, expiresAt }: Credential): readonly RevokedPiece[] {
  const { provider, signIn } = context
  const byItself = expiresAt === null ? 'soon' : `at ${expiresAt.toISOString().slice(11, 16)} UTC`
  const label = signIn.fields.find(({ name }) => name === DOCUMENT)?.label ?? 'key'
  const at = signIn.console ?? provider.revoke.at ?? provider.name
  const what = kept[DOCUMENT] === undefined ? 'private key' : label
  return [
    { what: 'access token', died: false, how: `it dies by itself ${byItself}` },
    { what, died: false, how: `only you can end it, at ${at}` },
  ]
}
