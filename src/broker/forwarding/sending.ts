import { ValetkeyError } from '#client'
import { isRenewable, type Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { wearsReference } from '../referred.ts'
import { refusedFresh, renewRefused } from '../renewing/refused.ts'
import type { Coming } from './coming.ts'
import { type Body, type KeptBody, keepBody } from './kept-body.ts'

/** An answer; with `again` the same request is welcome once more with another proof, since nothing was done. */
type Answered = Coming & { readonly again?: boolean }

/** Sends the request with this credential. */
export type Send = (whole: Whole, body: Body) => Promise<Answered>

interface Asked {
  readonly body: Body
  /** Each time that it is sent something of it is proved anew. */
  readonly mayProveAgain: boolean
}

/**
 * Why a provider's 401 is passed on, said in a header of ours beside it. `not-renewable`: this credential is
 * not renewed by itself. `not-renewed`: that was tried, or is of no use for now. `not-repeated`: it was
 * renewed, but the request's body was not kept. `refused-again`: so it was, and once more. Beside a 403
 * `missing-scopes` says that the account was granted less than this takes, and that connecting it again helps.
 */
export const RETRY_HEADER = 'valetkey-retry'
export type Retry = 'not-renewable' | 'not-renewed' | 'not-repeated' | 'refused-again' | 'missing-scopes'

export interface Sent {
  readonly answer: Coming
  /** It was sent a second time, with a fresh credential. */
  readonly renewed: boolean
  readonly retry?: Retry
}

/**
 * What the provider refuses as unauthorized is renewed once and sent once more, whatever its method: a 401
 * says that nothing was done. Where that is refused too, the provider has the last word.
 */
export async function sendTwice(kit: Kit, whole: Whole, asked: Asked, send: Send): Promise<Sent> {
  const { account, credential } = whole
  const renewable = isRenewable(kit, account, credential) || wearsReference(credential)
  const kept = keepBody(asked.body, renewable || asked.mayProveAgain)
  try {
    const answer = await welcome(whole, kept, send)
    if (!renewable) return once(answer)
    if (answer.status !== 401) return { answer, renewed: false }
    const fresh = await renewRefused(kit, whole).catch(unlessOurs)
    if (fresh === undefined) return { answer, renewed: false, retry: 'not-renewed' }
    const again = await kept.whole()
    if (again === undefined) return { answer, renewed: false, retry: 'not-repeated' }
    answer.drop()
    return twice(kit, fresh, await send(fresh, again))
  } finally {
    kept.letGo()
  }
}

/** A server that wants nothing but its nonce in the proof gets it, once, before anything is renewed for that. */
async function welcome(whole: Whole, kept: KeptBody, send: Send): Promise<Coming> {
  const answer = await send(whole, kept.body)
  if (!answer.again) return answer
  const body = await kept.whole()
  if (body === undefined) return answer
  answer.drop()
  return send(whole, body)
}

/** Why it could not be renewed stands with the account; the caller is told what the provider said. */
function unlessOurs(error: unknown): undefined {
  if (!(error instanceof ValetkeyError)) throw error
}

function once(answer: Coming): Sent {
  return { answer, renewed: false, ...(answer.status === 401 && { retry: 'not-renewable' }) }
}

function twice(kit: Kit, fresh: Whole, answer: Coming): Sent {
  if (answer.status !== 401) return { answer, renewed: true }
  refusedFresh(kit, fresh)
  return { answer, renewed: true, retry: 'refused-again' }
}
