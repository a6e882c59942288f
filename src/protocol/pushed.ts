import { buildAuthorizationUrlWithPAR } from 'openid-client'
import { ValetkeyError } from '#client'
import type { Client } from '../model/flow.ts'
import type { OAuth } from '../model/provider.ts'
import type { Judge } from './ask.ts'
import { configurationFor, proofsFor, type Use } from './client.ts'
import { plainAnswer } from './plain-answer.ts'
import type { Server } from './server.ts'
import { troubleOf } from './trouble.ts'

/** RFC 9126 §2.2; some servers answer with a 200. */
const ANSWER = plainAnswer(['request_uri', 'expires_in'], 201)

/** Where a person is sent, and until when they have to be there. */
export interface Pushed {
  readonly url: URL
  readonly until: Date
}

/**
 * Whether a request for authorization is pushed (RFC 9126): where its server takes no other, where the provider
 * says so, and where we can prove who pushes it. Throws where it has to be and there is no place for it.
 */
export function isPushed({ par }: OAuth, server: Server, client: Client): boolean {
  if (server.par !== undefined)
    return server.requiresPar === true || par !== undefined || isConfidential(client)
  if (!server.requiresPar) return false
  throw new ValetkeyError(
    'provider-not-configured',
    'the provider takes only requests that are pushed, and names no place for them',
    { hint: 'its metadata name no pushed_authorization_request_endpoint' },
  )
}

function isConfidential({ clientSecret, privateKey }: Client): boolean {
  return privateKey !== undefined || (clientSecret?.reveal() ?? '') !== ''
}

/** Pushes a request, and leaves nothing of it for the browser to carry but its name. */
export async function pushed(
  use: Omit<Use, 'judge'>,
  params: Readonly<Record<string, string>>,
): Promise<Pushed> {
  let seconds = 0
  const judge: Judge = async (answer) => {
    const judged = await ANSWER(answer)
    seconds = Number(judged.body['expires_in'])
    return judged
  }
  const config = configurationFor({ ...use, judge })
  const url = await buildAuthorizationUrlWithPAR(config, { ...params }, proofsFor(config, use)).catch(
    (error: unknown) => {
      throw troubleOf(error)
    },
  )
  return { url, until: new Date(use.now().getTime() + seconds * 1000) }
}
