import { ValetkeyError } from '#client'
import { isRenewable, type Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { refusedFresh, renewRefused } from '../renewing/refused.ts'
import type { Coming } from './coming.ts'
import { type Body, keepBody } from './kept-body.ts'

/** Sends the request with this credential. */
export type Send = (whole: Whole, body: Body) => Promise<Coming>

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
export async function sendTwice(kit: Kit, whole: Whole, asked: Body, send: Send): Promise<Sent> {
  const { account, credential } = whole
  const renewable = isRenewable(kit, account, credential)
  const kept = keepBody(asked, renewable)
  if (!renewable) return once(await send(whole, kept.body))
  try {
    const answer = await send(whole, kept.body)
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
