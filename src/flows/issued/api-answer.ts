import type { z } from 'zod'
import { ValetkeyError } from '#client'
import type { FlowContext } from '../../model/flow.ts'
import type { Outgoing } from '../../model/network.ts'
import { type Answer, ask, refuseTrouble } from '../../protocol/ask.ts'
import { strictObject } from '../../protocol/strict-json.ts'
import { strictXml } from '../../protocol/strict-xml.ts'

/** What an API of a provider's own answered: well, or with a refusal that is still to be read. */
export type Heard =
  | { readonly isWell: true; readonly answer: Answer }
  | { readonly isWell: false; readonly answer: Answer; readonly said: Readonly<Record<string, unknown>> }

/** One request, and its answer without the trouble that passes. */
export async function askApi(
  { network, now }: Pick<FlowContext, 'network' | 'now'>,
  url: URL,
  { headers = {}, ...request }: Outgoing & { readonly headers?: Readonly<Record<string, string>> },
): Promise<Heard> {
  const sent = { accept: 'application/json', 'user-agent': 'valetkey', ...headers }
  const answer = await ask(network, url, { ...request, headers: sent }, { now })
  refuseTrouble(answer)
  return answer.status < 300 ? { isWell: true, answer } : { isWell: false, answer, said: saidIn(answer) }
}

/** Whatever language it is in, by the names that things have there. */
export function saidIn({ type, text }: Answer): Readonly<Record<string, unknown>> {
  return /[/+]xml$/.test(type) ? strictXml(text) : strictObject(text)
}

/** What an answer says, as far as it is made use of. Nothing of it is told where it is of another form. */
export function readAs<S extends z.ZodType>(schema: S, said: unknown): z.infer<S> {
  const read = schema.safeParse(said)
  if (read.success) return read.data
  const at = read.error.issues[0]?.path.filter((part) => typeof part === 'string').at(-1) ?? ''
  throw new ValetkeyError('bad-answer', `the answer of the provider is not right in "${at}"`)
}
