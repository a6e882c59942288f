import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { FlowContext } from '../../model/flow.ts'
import type { Assertion } from '../../model/provider.ts'
import { textAt } from '../../protocol/pointer.ts'
import { own, type Values } from '../filled/key-fields.ts'
import { parsed } from '../memory.ts'

/** The field for the document, whole as the provider handed it out; or else its parts, where they are known. */
export const DOCUMENT = 'key'
export const PARTS = ['issuer', 'privateKey', 'keyId'] as const

const keySchema = z.object({
  issuer: z.string().min(1).max(320),
  privateKey: z.string().min(1),
  keyId: z.string().min(1).max(200).optional(),
  endpoint: z.string().optional(),
})

/** Who signs, and with what. */
export type Key = z.infer<typeof keySchema>

export function assertionOf({ signIn, provider }: FlowContext): Assertion {
  if (signIn.assertion !== undefined) return signIn.assertion
  throw new ValetkeyError('provider-not-configured', `${provider.name} does not say what its keys look like`)
}

/** Whether all is there that a token can be asked for with. */
export function hasKey(values: Values): boolean {
  const whole = own(values, DOCUMENT) !== undefined
  return whole || ['issuer', 'privateKey'].every((name) => own(values, name) !== undefined)
}

/** Judged by its form alone, and nothing of it is repeated. `endpoints` are the provider's own. */
export function readKey(context: FlowContext, values: Values, endpoints: readonly string[]): Key {
  const document = own(values, DOCUMENT)
  const read = keySchema.safeParse(document === undefined ? values : inDocument(context, document))
  if (!read.success)
    throw misshapen(context, `it has no usable ${read.error.issues[0]?.path.join('.') || 'parts'}`)
  const { endpoint } = read.data
  if (endpoint === undefined || endpoints.includes(endpoint)) return read.data
  throw misshapen(context, 'it would be shown to another server than the provider’s own')
}

function inDocument(context: FlowContext, text: string): unknown {
  const document = parsed(text)
  const { is, issuer, privateKey, keyId, endpoint } = assertionOf(context)
  if (typeof document !== 'object' || document === null) throw misshapen(context, 'it is no JSON')
  const odd = Object.entries(is).find(([at, value]) => textAt(document, at) !== value)
  if (odd !== undefined) throw misshapen(context, `its ${odd[0].slice(1)} is not ${odd[1]}`)
  const places = { issuer, privateKey, keyId, endpoint }
  return Object.fromEntries(Object.entries(places).map(([name, at]) => [name, textAt(document, at)]))
}

function misshapen({ signIn, provider }: FlowContext, why: string): ValetkeyError {
  const label = signIn.fields.find(({ name }) => name === DOCUMENT)?.label ?? 'key'
  return new ValetkeyError('key-format', `this is not the ${label} of ${provider.name}: ${why}`, {
    hint: 'give the file whole, as the provider handed it out',
  })
}
