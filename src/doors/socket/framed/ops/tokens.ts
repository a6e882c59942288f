import { ValetkeyError } from '#client'
import { Secret } from '../../../../model/secret.ts'
import type { Lent } from '../../../../model/words.ts'
import type { Frame } from '../frames.ts'
import type { OwnToken } from '../own-tokens.ts'
import { begunBy } from './connecting.ts'
import { addressIn, isSandboxed, op, type Seat, textIn } from './op.ts'

/** What never goes over the wire, by whatever name a provider gave it. */
const NEVER = new Set([
  'refresh_token',
  'id_token',
  'code_verifier',
  'device_code',
  'client_secret',
  'state',
  'flow_instance',
  'pkce_state',
])

/** A token of which nobody said when it dies is not served back for longer. */
const USUAL_SECONDS = 3600

export const getToken = op(async (seat, payload) => {
  const address = addressIn(seat, payload)
  const minValidity = secondsIn(payload)
  const lent = await seat.desk.lend({ address, ...(minValidity !== undefined && { minValidity }) })
  const own = seat.kept.saved.find(seat.caller.id, address, minValidity)
  return own === undefined ? sanitised(lent) : asSaved(own)
}, 'REFRESH_FAILED')

/**
 * The owner has it renewed whatever life is left. Anybody else says that the one they hold is of no use any more,
 * which is heard as seldom as it makes sense; in between they are served what lives.
 */
export const refreshToken = op(async (seat, payload) => {
  const address = addressIn(seat, payload)
  seat.kept.saved.remove(seat.caller.id, address)
  if (isSandboxed(seat)) return sanitised(await anotherOne(seat, address))
  await seat.desk.refresh(address)
  return sanitised(await seat.desk.lend({ address }))
}, 'REFRESH_FAILED')

async function anotherOne({ desk }: Seat, address: string): Promise<Lent> {
  const held = await desk.lend({ address })
  return desk.lend({ address, refused: held.token }).catch((error: unknown) => {
    if (error instanceof ValetkeyError && error.code === 'invalid-token') return held
    throw error
  })
}

/**
 * The owner's is stored. Anybody else's is served back to them alone, in memory and while it lives: what
 * others are lent is not theirs to replace, and a refresh token of theirs is dropped.
 */
export const saveToken = op(async (seat, payload) => {
  const address = addressIn(seat, payload)
  const token = tokenIn(payload)
  if (isSandboxed(seat)) await keepForItself(seat, address, token)
  else await store(seat, address, token)
  return {}
})

export const removeToken = op(async (seat, payload) => {
  const address = addressIn(seat, payload)
  if (seat.kept.saved.remove(seat.caller.id, address)) return {}
  await seat.desk.revoke(address)
  return {}
})

async function keepForItself(seat: Seat, address: string, token: Frame): Promise<void> {
  const { kept, desk, caller } = seat
  // Whoever may not be lent this account may not be served anything in its place either.
  await desk.lend({ address })
  const expiry = typeof token['expiry'] === 'number' ? token['expiry'] * 1000 : Number.NaN
  const expiresAt = new Date(Number.isNaN(expiry) ? kept.now().getTime() + USUAL_SECONDS * 1000 : expiry)
  kept.saved.put(caller.id, address, {
    token: new Secret(textIn(token, 'access_token')),
    tokenType: typeof token['token_type'] === 'string' ? token['token_type'] : 'Bearer',
    scope: typeof token['scope'] === 'string' ? token['scope'] : undefined,
    expiresAt,
  })
}

/** As a sign-in that is over as soon as it begins: with its record, and in place of what was there. */
async function store(seat: Seat, address: string, token: Frame): Promise<void> {
  const request = { fields: { issued: new Secret(JSON.stringify(token)) }, insist: true }
  for await (const { id, state } of begunBy(seat, address, request)) {
    if (state === 'done') return
    await seat.desk.cancel(id).catch(() => undefined)
  }
  throw new ValetkeyError('provider-not-configured', 'this provider is not connected by a token')
}

function tokenIn(payload: Frame): Frame {
  const token = payload['token']
  if (typeof token !== 'object' || token === null || Array.isArray(token))
    throw new ValetkeyError('invalid-request', '"token" is missing')
  textIn(token as Frame, 'access_token')
  return token as Frame
}

function secondsIn(payload: Frame): number | undefined {
  const value = payload['minValidity']
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return value
  throw new ValetkeyError('invalid-request', '"minValidity" is a number of seconds')
}

/** What was lent, in the words of its standard and without anything that could renew it. */
export function sanitised({ token, fields, tokenType, expiresAt, scopes }: Lent): object {
  const data: Record<string, unknown> = {}
  for (const [name, secret] of Object.entries(fields)) {
    const spelled = inWords(name)
    if (secret !== token && !NEVER.has(spelled)) data[spelled] = secret.reveal()
  }
  data['access_token'] = token.reveal()
  if (expiresAt !== null) data['expiry'] = Math.floor(expiresAt.getTime() / 1000)
  data['token_type'] = tokenType
  if (scopes.length > 0) data['scope'] = scopes.join(' ')
  return data
}

function asSaved({ token, tokenType, scope, expiresAt }: OwnToken): object {
  return {
    access_token: token.reveal(),
    expiry: Math.floor(expiresAt.getTime() / 1000),
    token_type: tokenType,
    ...(scope === undefined ? {} : { scope }),
  }
}

/** `accountId` goes over the wire as `account_id`. */
function inWords(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
