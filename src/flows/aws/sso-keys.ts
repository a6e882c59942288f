import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext, FlowYield, RevokedPiece } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import type { Values } from '../filled/key-fields.ts'
import { whyNotEnded } from '../issued/not-ended.ts'
import { keysOf, logOut, over, type Role, renewTokens } from './sso-api.ts'
import type { SignedIn } from './sso-memory.ts'

/** The sign-in is renewed where it has less than this left: keys are asked for by what lives. */
const LIVES_MS = 5 * 60_000

const NEEDED = ['token', 'tokenEnds', 'clientId', 'clientSecret', 'accountId', 'roleName'] as const

type Kept = Credential['kept']

export function isWhole(kept: Kept): boolean {
  return NEEDED.every((name) => kept[name] !== undefined)
}

export function keptOf(
  { client, token, tokenEnds, refreshToken }: SignedIn,
  { accountId, roleName }: Role,
): Kept {
  const { clientId, clientSecret } = client
  const all = {
    token,
    tokenEnds,
    clientId,
    clientSecret,
    accountId,
    roleName,
    ...(refreshToken && { refreshToken }),
  }
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, new Secret(value)]))
}

/** What the sign-in yields: keys of the role, for as long as they live, and what others are had for. */
export async function firstKeys(
  context: FlowContext,
  held: SignedIn,
  role: Role,
): Promise<Extract<FlowYield, { credential: unknown }>> {
  const { vars } = held
  const keys = await keysOf(context, vars, new Secret(held.token), role)
  const { accountId, roleName } = role
  const profile = { subject: `${accountId}/${roleName}`, displayName: `${roleName} of ${accountId}`, vars }
  return { credential: { ...keys, kept: keptOf(held, role) }, profile }
}

export async function renewKeys(context: FlowContext, kept: Kept): Promise<Credential> {
  if (!isWhole(kept))
    throw new ValetkeyError('refresh-not-available', 'what new keys are had for is not there')
  const fresh = await freshToken(context, kept)
  const keys = await keysOf(context, varsIn(context), tokenOf(fresh), roleOf(fresh)).catch(
    (error: unknown) => {
      if (!(error instanceof ValetkeyError)) throw error
      // What is refused with a token that lives is refused for good, but that may be set right over there.
      if (error.code === 'invalid-request')
        throw new ValetkeyError(
          'refused-by-policy',
          'this role of this account is not assigned any more at AWS',
        )
      throw error.code === 'invalid-token' ? over() : error
    },
  )
  return { ...keys, kept: fresh }
}

/** Keys of another role that the same person has. */
export async function keysFor(context: FlowContext, kept: Kept, role: Role): Promise<Credential> {
  if (!isWhole(kept)) throw new ValetkeyError('needs-reauth', 'the sign-in at AWS is not there')
  if (!lives(context, kept))
    throw new ValetkeyError('invalid-token', 'the sign-in at AWS has to be renewed before')
  return keysOf(context, varsIn(context), tokenOf(kept), role)
}

function lives({ now }: FlowContext, { tokenEnds }: Kept): boolean {
  return Date.parse(tokenEnds?.reveal() ?? '') - now().getTime() > LIVES_MS
}

async function freshToken(context: FlowContext, kept: Kept): Promise<Kept> {
  const { refreshToken, clientId, clientSecret } = kept
  if (lives(context, kept)) return kept
  if (refreshToken === undefined) {
    if (Date.parse(kept['tokenEnds']?.reveal() ?? '') > context.now().getTime()) return kept
    throw over()
  }
  const client = { clientId: clientId?.reveal() ?? '', clientSecret: clientSecret?.reveal() ?? '' }
  const tokens = await renewTokens(context, varsIn(context), client, refreshToken.reveal())
  const ends = new Date(context.now().getTime() + tokens.expiresIn * 1000).toISOString()
  return {
    ...kept,
    token: new Secret(tokens.accessToken),
    tokenEnds: new Secret(ends),
    ...(tokens.refreshToken !== undefined && { refreshToken: new Secret(tokens.refreshToken) }),
  }
}

function tokenOf({ token }: Kept): Secret {
  return token ?? new Secret('')
}

function roleOf({ accountId, roleName }: Kept): Role {
  return { accountId: accountId?.reveal() ?? '', roleName: roleName?.reveal() ?? '' }
}

/** The session ends at once, and nobody has keys for it any more; those that were given live until their own end. */
export async function endSession(
  context: FlowContext,
  { kept, worn, expiresAt }: Credential,
): Promise<readonly RevokedPiece[]> {
  const until = expiresAt === null ? '' : `, at ${expiresAt.toISOString()} at the latest`
  const how = `AWS lets nobody end them; they die by themselves${until}`
  const keys = worn['SecretAccessKey'] === undefined ? [] : [{ what: 'keys of the role', died: false, how }]
  return kept['token'] === undefined ? keys : [await endToken(context, kept['token']), ...keys]
}

async function endToken(context: FlowContext, token: Secret): Promise<RevokedPiece> {
  const what = 'session'
  try {
    await logOut(context, varsIn(context), token)
    return { what, died: true, how: 'ended at the provider' }
  } catch (error) {
    return { what, died: false, ...whyNotEnded(error) }
  }
}

function varsIn({ provider, known }: FlowContext): Values {
  return Object.fromEntries(
    provider.vars.flatMap(({ name }) => {
      const value = known[name]?.reveal()
      return value === undefined ? [] : [[name, value]]
    }),
  )
}
