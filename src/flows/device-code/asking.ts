import { genericGrantRequest, initiateDeviceAuthorization } from 'openid-client'
import type { FlowContext } from '../../model/flow.ts'
import { configurationFor, proofsFor } from '../../protocol/client.ts'
import { type Begun, begunOf, deviceAnswer, waitingOr } from '../../protocol/device-answer.ts'
import type { Server } from '../../protocol/server.ts'
import { tokenAnswer } from '../../protocol/token-answer.ts'
import { type Meaning, OF_THE_SERVER, refusalOf, troubleOf } from '../../protocol/trouble.ts'
import type { Tokens } from '../authorization/credential.ts'
import { resourceOf, standingOf } from '../authorization/server.ts'
import { boundBy } from '../issued/bound.ts'
import { askByCode, lookByCode } from './by-code.ts'
import { expectedOf, keyOf, type Waiting } from './memory.ts'

/** What came of asking whether the code was entered. */
export type Heard =
  | { readonly tokens: Tokens }
  | {
      readonly waits: 'as-before' | 'longer' | 'unreached'
      /** How long it wants to be left alone, where it says so. */
      readonly seconds?: number | undefined
    }

const OFF: Meaning = [
  'provider-not-configured',
  'the provider has signing in by a code switched off for this client',
  'switch it on where the client was made, or sign in another way',
]
const SAID_NO: Meaning = ['access-denied', 'access was denied at the provider']
const TOO_LATE: Meaning = ['flow-expired', 'the code was not entered in time']
const UNKNOWN: Meaning = ['poll-failed', 'the provider ended this sign-in, for a reason of its own']

/** RFC 8628 §3.5, and what single vendors say instead. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  access_denied: SAID_NO,
  authorization_declined: SAID_NO,
  expired_token: TOO_LATE,
  device_flow_disabled: OFF,
}

const STANDARD = { grant: 'urn:ietf:params:oauth:grant-type:device_code', codeParam: 'device_code' }

/** Asks for a code that a person enters elsewhere (RFC 8628 §3.1). `verify` is where that is, if no answer says so. */
export async function askForCode(
  context: FlowContext,
  server: Server,
  wish: Readonly<Record<string, string>>,
  verify: string | undefined,
): Promise<Begun> {
  const { oauth, client } = standingOf(context)
  if (oauth.device?.yields === 'code') return askByCode(context, server, verify)
  const judge = deviceAnswer(verify)
  const config = configurationFor({ ...context, server, client, oauth, judge })
  const params = { ...resourceOf(oauth), ...wish, ...oauth.device?.params }
  const answer = await initiateDeviceAuthorization(config, params).catch((error: unknown) => {
    throw troubleOf(error, MEANINGS)
  })
  return begunOf({ ...answer })
}

/** Asks once whether the code was entered, and hears what may pass apart from what ends the sign-in. */
export async function look(context: FlowContext, held: Waiting): Promise<Heard> {
  const isByCode = standingOf(context).oauth.device?.yields === 'code'
  try {
    const tokens = await (isByCode ? lookByCode(context, held) : lookForTokens(context, held))
    return tokens === undefined ? { waits: 'as-before' } : { tokens }
  } catch (error) {
    return heardOf(error)
  }
}

async function lookForTokens(context: FlowContext, held: Waiting): Promise<Tokens> {
  const { oauth, client } = standingOf(context)
  const { deviceCode, verifier, asked } = held
  const { grant, codeParam } = oauth.device ?? STANDARD
  const server = { ...held.server, token: asked }
  const { bound } = await boundBy(keyOf(held))
  const judge = waitingOr(tokenAnswer(expectedOf(context, held)))
  const config = configurationFor({ ...context, server, client, oauth, bound, judge })
  const params = {
    ...resourceOf(oauth),
    [codeParam]: deviceCode,
    ...(verifier === undefined ? {} : { code_verifier: verifier }),
  }
  return genericGrantRequest(config, grant, params, proofsFor(config, { bound }))
}

/** Of all that a server can say only two words let a sign-in go on; a line that failed does not end it. */
function heardOf(error: unknown): Heard {
  const refusal = refusalOf(error)
  const trouble = troubleOf(error, MEANINGS, UNKNOWN)
  const { retryAfter: seconds } = trouble
  if (refusal === 'authorization_pending') return { waits: 'as-before', seconds }
  if (refusal === 'slow_down') return { waits: 'longer', seconds }
  if (refusal === undefined && OF_THE_SERVER.includes(trouble.code)) return { waits: 'unreached', seconds }
  throw trouble
}
