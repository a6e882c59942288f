import { ValetkeyError } from '#client'
import type { Answer, Judge, Judged } from './ask.ts'
import { type Expected, tokenAnswer } from './token-answer.ts'

/** Under this name an ID token is kept from the library, which would refuse all that came with it. */
export const SET_ASIDE = 'set_aside_id_token'

/** RFC 6749 §5.2 has 400 and 401; a 200 and a 403 are met as well. A word under another status says nothing. */
const WORDED = new Set([200, 400, 401, 403])

/**
 * What a vendor says along with `invalid_grant` when its rules stand in the way, and the token stays what
 * it is: Microsoft's condition that a person can meet, or at least be told of; and Google's demand to sign
 * in once more, after which the same token is renewed.
 */
const BY_POLICY: ReadonlySet<unknown> = new Set([
  'basic_action',
  'additional_action',
  'message_only',
  'consent_required',
  'invalid_rapt',
  'rapt_required',
])

/**
 * Judges what a token endpoint said of a refresh. A grant is never ended by what a server did not say
 * in so many words.
 */
export function renewalAnswer(expected: Omit<Expected, 'idToken'>): Judge {
  const plain = tokenAnswer({ ...expected, idToken: true })
  return async (answer) => {
    const judged = await unlessUnexplained(answer, () => plain(answer))
    if ('error' in judged.body) return refused(answer, judged)
    const { id_token: idToken, ...body } = judged.body
    return { ...judged, body: idToken === undefined ? body : { ...body, [SET_ASIDE]: idToken } }
  }
}

function refused({ status }: Answer, { status: as, body }: Judged): Judged {
  if (!WORDED.has(status)) throw noReason(status)
  const { error, suberror, error_subtype: subtype } = body
  const byPolicy = error === 'invalid_grant' && (BY_POLICY.has(suberror) || BY_POLICY.has(subtype))
  return { status: as, body: { error: byPolicy ? 'interaction_required' : error } }
}

async function unlessUnexplained({ status }: Answer, judge: () => ReturnType<Judge>): Promise<Judged> {
  try {
    return await judge()
  } catch (error) {
    if (status < 400 || !(error instanceof ValetkeyError) || error.code !== 'bad-answer') throw error
    throw noReason(status)
  }
}

/** Seen of dead tokens as well as of walls in between, and there is no telling which. */
function noReason(status: number): ValetkeyError {
  return new ValetkeyError(
    'bad-answer',
    `the provider answered ${status} without a reason that counts; the account may have to be connected again`,
    { hint: 'it is tried again; if it stays so, connect the account again' },
  )
}
