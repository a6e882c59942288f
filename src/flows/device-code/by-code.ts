import { authorizationCodeGrant } from 'openid-client'
import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { FlowContext } from '../../model/flow.ts'
import { type Answer, ask, refuseTrouble } from '../../protocol/ask.ts'
import { configurationFor, proofsFor } from '../../protocol/client.ts'
import { type Begun, begunOf } from '../../protocol/device-answer.ts'
import type { Server } from '../../protocol/server.ts'
import { strictObject } from '../../protocol/strict-json.ts'
import { tokenAnswer } from '../../protocol/token-answer.ts'
import { type Meaning, troubleOf } from '../../protocol/trouble.ts'
import type { Tokens } from '../authorization/credential.ts'
import { resourceOf, standingOf } from '../authorization/server.ts'
import { boundBy } from '../issued/bound.ts'
import { expectedOf, keyOf, type Waiting } from './memory.ts'

// A device flow in JSON that ends in an authorization code instead of tokens. The server makes the proof
// of that code itself, and it is redeemed as if a browser had brought it.

const SPENT: Meaning = ['exchange-failed', 'the provider did not accept its own code', 'begin again']
/** Nobody has entered the code yet. */
const PENDING: ReadonlySet<number> = new Set([403, 404])
const LONGEST_SECONDS = 30

const entered = z.looseObject({ authorization_code: z.string().min(1), code_verifier: z.string().min(1) })

export async function askByCode(
  context: FlowContext,
  server: Server,
  verify: string | undefined,
): Promise<Begun> {
  const { client } = standingOf(context)
  const answer = await post(context, server.device ?? server.token, { client_id: client.clientId })
  if (answer.status === 404) throw switchedOff(context)
  refuseTrouble(answer)
  if (answer.status !== 200) throw unexplained(answer)
  const { device_auth_id: deviceCode, ...body } = strictObject(answer.text)
  return begunOf({ ...body, device_code: deviceCode }, verify)
}

/** The tokens, once the code was entered. */
export async function lookByCode(context: FlowContext, held: Waiting): Promise<Tokens | undefined> {
  const { deviceCode, userCode, asked } = held
  const answer = await post(context, asked, { device_auth_id: deviceCode, user_code: userCode })
  if (PENDING.has(answer.status)) return undefined
  refuseTrouble(answer)
  if (answer.status !== 200) throw unexplained(answer)
  const read = entered.safeParse(strictObject(answer.text))
  if (!read.success)
    throw new ValetkeyError('bad-answer', 'the provider says that it is done, and gives no code')
  return redeem(context, held, read.data)
}

async function redeem(
  context: FlowContext,
  held: Waiting,
  { authorization_code: code, code_verifier: verifier }: z.infer<typeof entered>,
): Promise<Tokens> {
  const { oauth, client } = standingOf(context)
  const redirect = oauth.device?.redirect
  if (redirect === undefined)
    throw new ValetkeyError(
      'provider-not-configured',
      `${context.provider.name} does not say how its code is redeemed`,
    )
  const { bound } = await boundBy(keyOf(held))
  const judge = tokenAnswer(expectedOf(context, held))
  const config = configurationFor({ ...context, server: held.server, client, oauth, bound, judge })
  const url = new URL(redirect)
  url.searchParams.set('code', code)
  const [checks, proofs] = [{ pkceCodeVerifier: verifier }, proofsFor(config, { bound })]
  // What was asked for with a code is spent by now, so no trouble here lets it be asked for again.
  return authorizationCodeGrant(config, url, checks, resourceOf(oauth), proofs).catch((error: unknown) => {
    const { message, hint = 'begin again' } = troubleOf(error, {}, SPENT)
    throw new ValetkeyError('exchange-failed', message, { hint })
  })
}

function post({ network, now }: FlowContext, place: string, body: object): Promise<Answer> {
  const headers = [
    ['accept', 'application/json'],
    ['content-type', 'application/json'],
    ['user-agent', 'valetkey'],
  ] as const
  const request = { method: 'POST', headers, body: JSON.stringify(body) }
  return ask(network, new URL(place), request, { now, seconds: LONGEST_SECONDS })
}

function switchedOff({ provider }: FlowContext): ValetkeyError {
  const message = `${provider.name} has signing in by a code switched off for this account`
  return new ValetkeyError('provider-not-configured', message, {
    hint: 'switch it on in the security settings of the account there, or sign in another way',
  })
}

function unexplained({ status }: Answer): ValetkeyError {
  return new ValetkeyError('bad-answer', `the provider answered ${status} without saying why`)
}
