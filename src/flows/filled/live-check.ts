import { type ErrorCode, ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import type { Destination, Verification } from '../../model/provider.ts'
import { textAt, valueAt } from '../../protocol/pointer.ts'
import { wear } from '../../protocol/presentation.ts'
import { fetchWearing } from '../../protocol/proving.ts'
import { shown } from '../issued/person.ts'
import { parsed } from '../memory.ts'
import type { Why } from './key-fields.ts'

const CHECK_SECONDS = 20
const MOST_BYTES = 1024 * 1024

/** What one harmless request showed: the credential is alive, and whose; or why that is not proved. */
export type Finding =
  | { readonly alive: true; readonly subject: string | null; readonly displayName: string | null }
  | { readonly alive: false; readonly why: Why }

/** Wears the credential on the provider's declared request. What cannot be reached proves nothing. */
export async function liveCheck(
  context: FlowContext,
  verify: Verification,
  destination: Destination,
  credential: Credential,
): Promise<Finding> {
  const { network, signIn, provider, now } = context
  const wearing = { present: signIn.present, headers: provider.headers, credential, now }
  const { json } = verify
  const request = {
    method: verify.method,
    headers: {
      accept: 'application/json',
      ...(json === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    signal: AbortSignal.timeout(CHECK_SECONDS * 1000),
  }
  // What cannot be worn was never sent, and is not a finding.
  wear(signIn.present, provider.headers, credential)
  try {
    const answer = await fetchWearing(network, destination.place(verify.url), request, wearing)
    return await judged(verify, answer)
  } catch (error) {
    return { alive: false, why: whyOf(error) }
  }
}

async function judged(verify: Verification, answer: Response): Promise<Finding> {
  if (verify.ok.includes(answer.status)) return aliveBy(verify, answer)
  await answer.body?.cancel().catch(() => undefined)
  if (verify.refused.includes(answer.status))
    return unproved('invalid-credentials', 'the provider did not accept this key')
  if (answer.status >= 500) return unproved('server-error', 'the provider has trouble of its own')
  if (answer.status === 429) return unproved('rate-limited', 'the provider had too many requests')
  return unproved('bad-answer', `the provider answered ${answer.status}, which proves nothing about this key`)
}

async function aliveBy(verify: Verification, answer: Response): Promise<Finding> {
  const { okAt } = verify
  if ([okAt, verify.subject, verify.displayName].every((at) => at === undefined)) {
    await answer.body?.cancel().catch(() => undefined)
    return { alive: true, subject: null, displayName: null }
  }
  const said = parsed(await textOf(answer))
  if (okAt !== undefined && valueAt(said, okAt) !== true)
    return unproved('invalid-credentials', 'the provider did not accept this key')
  const subject = textAt(said, verify.subject)
  const displayName = shown(textAt(said, verify.displayName))
  if (verify.subject !== undefined && !subject)
    return unproved('bad-answer', 'the provider answered without saying whose key it is')
  return { alive: true, subject: subject ?? null, displayName: displayName ?? null }
}

async function textOf(answer: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const piece of answer.body ?? []) {
    text += decoder.decode(piece, { stream: true })
    if (text.length > MOST_BYTES) throw new ValetkeyError('response-too-large', 'the answer is too large')
  }
  return text
}

function unproved(code: ErrorCode, because: string): Finding {
  return { alive: false, why: { code, because } }
}

const TROUBLE: Partial<Record<ErrorCode, string>> = {
  'host-not-allowed': 'this address may not be reached from here',
  'certificate-pin': 'the provider showed another certificate than the one expected',
  'connect-timeout': 'the provider did not pick up in time',
  'answer-timeout': 'the provider did not answer in time',
  'answer-lost': 'the answer of the provider was lost on the way',
  'response-too-large': 'the provider answered something that makes no sense',
}

function whyOf(error: unknown): Why {
  const late = error instanceof Error && error.name === 'TimeoutError'
  const known = error instanceof ValetkeyError ? error.code : 'network-error'
  const code = late ? 'answer-timeout' : known
  return { code, because: TROUBLE[code] ?? 'the provider could not be reached' }
}
