import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import { wornFields } from '../../model/provider/worn.ts'
import type { Revocation } from '../../model/provider.ts'
import { type Answer, refuseTrouble } from '../../protocol/ask.ts'
import { valueAt } from '../../protocol/pointer.ts'
import { askProvider } from '../issued/provider-request.ts'
import { parsed } from '../memory.ts'
import { knownValues } from './server.ts'

export type EndRequest = Extract<Revocation, { how: 'request' }>

/** Whether the provider's own request speaks of this token at all: in its words, or by wearing it. */
export function isNamed(
  request: EndRequest,
  token: string,
  { signIn }: Pick<FlowContext, 'signIn'>,
): boolean {
  if (textsOf(request).some((text) => text.includes(`{${token}}`))) return true
  return request.auth === 'token' && signIn.present.some((way) => wornFields(way).includes(token))
}

function textsOf({ url, form = {}, json = {}, query, headers }: EndRequest): readonly string[] {
  return [url, ...[form, json, query, headers].flatMap((texts) => Object.values(texts))]
}

/** Whether it ends this token, shown in it or not. */
export function isEnded(request: EndRequest, token: string, context: Pick<FlowContext, 'signIn'>): boolean {
  return request.ends.some((ended) => ended === token) || isNamed(request, token, context)
}

/** One request of the provider's own that ends the tokens it names. Throws where they may still live. */
export async function askToEnd(
  context: FlowContext,
  request: EndRequest,
  tokens: Readonly<Record<string, string>>,
  credential: Credential,
): Promise<void> {
  const vars = knownValues(context)
  if (request.ends.length > 0 && context.provider.vars.some(({ name }) => isOpen(request, name, vars)))
    throw refused('nobody knows whose access that would end')
  judge(request, await askProvider(context, request, { vars, named: tokens, credential }))
}

/** It speaks of a variable that nobody knows. */
function isOpen(request: EndRequest, name: string, vars: Readonly<Record<string, string>>): boolean {
  return vars[name] === undefined && textsOf(request).some((text) => text.includes(`{${name}}`))
}

/** What is not known there is not told apart from what another client may not end. */
function judge({ ok, okAt, auth }: EndRequest, answer: Answer): void {
  refuseTrouble(answer)
  const { status, retryAfter } = answer
  // Some servers say so when they are asked too often.
  if (status === 403 && retryAfter !== undefined) refuseTrouble({ ...answer, status: 429 })
  if (ok.includes(status) && isSaid(answer, okAt)) return
  if (status === 401 && auth === 'token') throw refused('the provider does not accept this token any more')
  if (status === 401 || status === 403) throw refused('the provider does not accept this client')
  if (status === 404) throw refused('the provider does not know it, or not as one of this client')
  throw refused(`the provider answered ${status}, which does not say that it is ended`)
}

function isSaid({ text }: Answer, okAt: string | undefined): boolean {
  return okAt === undefined || valueAt(parsed(text), okAt) === true
}

function refused(message: string): ValetkeyError {
  return new ValetkeyError('provider-not-configured', message)
}
