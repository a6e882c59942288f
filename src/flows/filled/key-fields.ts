import { z } from 'zod'
import { type ErrorCode, type Field, isErrorCode } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import { fits } from '../../model/provider/forms.ts'
import { wornFields } from '../../model/provider/worn.ts'
import type { Presentation, Variable } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'

export type Values = Readonly<Record<string, string>>

/** Why something is asked again. */
export const whySchema = z.strictObject({
  because: z.string(),
  code: z.custom<ErrorCode>((code) => typeof code === 'string' && isErrorCode(code)),
})

export type Why = Readonly<z.infer<typeof whySchema>>

/** What was filled in so far, and why it is asked again. */
export interface Entered {
  readonly values: Values
  readonly why?: Why | undefined
  readonly mayKeep: boolean
}

/** The confirm field by which a person keeps a key that was not proved. */
export const KEEP = 'keep'

/** All that this provider needs: first where it is, then what it knows the person by. */
export function questions({ provider, signIn }: FlowContext): readonly Field[] {
  const vars = usedVars({ provider, signIn }).map(
    ({ name, label, choices, hint, default: usual }): Field => ({
      name,
      label,
      kind: choices ? 'choice' : 'text',
      ...(choices ? { choices } : {}),
      ...(hint === undefined ? {} : { hint }),
      ...(usual === undefined ? {} : { optional: true }),
    }),
  )
  const fields = signIn.fields.map(
    ({ name, label, secret, optional, hint }): Field => ({
      name,
      label,
      kind: secret ? 'secret' : 'text',
      ...(hint === undefined ? {} : { hint }),
      ...(optional ? { optional } : {}),
    }),
  )
  return [...vars, ...fields]
}

/**
 * A variable that stands in nothing but the links of another way to sign in is not needed in this one,
 * and one that follows from another's choice is never asked for: that other one is.
 */
function usedVars({ provider, signIn }: Pick<FlowContext, 'provider' | 'signIn'>): readonly Variable[] {
  const { hosts, oauth, vars } = provider
  const filledIn = signIn.fields.map(({ name }) => name)
  // Whoever wears nothing but what was filled in has no use for an authorization server.
  const isIssued = signIn.present.flatMap(wornFields).some((name) => !filledIn.includes(name))
  const links: readonly unknown[] = isIssued ? [oauth ?? {}, oauth?.device ?? {}].flatMap(Object.values) : []
  const texts = [...hosts, signIn.verify?.url, ...links].filter((text) => typeof text === 'string')
  const used = vars.filter(({ name }) => texts.some((text) => text.includes(`{${name}}`)))
  const asked = new Set(used.map(({ name, decided }) => decided?.by ?? name))
  return vars.filter(({ name }) => asked.has(name))
}

/** At first what is not known yet; after a refusal everything, where leaving empty means: as before. */
export function openQuestions(context: FlowContext, { values, why, mayKeep }: Entered): readonly Field[] {
  const all = questions(context)
  if (why === undefined) return all.filter(({ name }) => !Object.hasOwn(values, name))
  const open = all.map((field) =>
    Object.hasOwn(values, field.name)
      ? { ...field, optional: true, hint: 'leave it empty to keep what you entered' }
      : field,
  )
  const keep: Field = { name: KEEP, label: 'Keep it without a check', kind: 'confirm', optional: true }
  return mayKeep ? [...open, keep] : open
}

/** Says so when a value is not of the declared form. */
export function misshapen({ provider, signIn }: FlowContext, values: Values): Why | undefined {
  const odd = signIn.fields.find(({ name, pattern }) => {
    const value = own(values, name)
    return value !== undefined && pattern !== undefined && !fits(pattern, value)
  })
  const because = `this does not look like the ${odd?.label} of ${provider.name}`
  return odd && { because, code: 'key-format' }
}

/** What a request wears is worn; any other field stays with the broker. */
export function credentialOf({ signIn }: FlowContext, values: Values): Credential {
  const used = new Set(signIn.present.flatMap(wornFields))
  const secrets = (of: typeof signIn.fields) =>
    Object.fromEntries(Object.entries(picked(of, values)).map(([name, value]) => [name, new Secret(value)]))
  return {
    worn: secrets(signIn.fields.filter(({ name }) => used.has(name))),
    kept: secrets(signIn.fields.filter(({ name }) => !used.has(name))),
    standing: true,
    expiresAt: null,
    scopes: [],
    tokenType: tokenType(signIn.present),
  }
}

function tokenType(present: readonly Presentation[]): string {
  const [way] = present
  if (way === undefined || 'header' in way) return way?.prefix?.trim() || 'key'
  return 'basic' in way ? 'Basic' : 'AWS4-HMAC-SHA256'
}

/** Also the usual value where none was given: what is usual may change, and this account may not move then. */
export function varsOf(context: FlowContext, values: Values): Values {
  const vars = usedVars(context)
  const usual = vars.flatMap((one) => (one.default === undefined ? [] : [[one.name, one.default]]))
  return { ...Object.fromEntries(usual), ...picked(vars, values) }
}

function picked(of: readonly { readonly name: string }[], values: Values): Values {
  return Object.fromEntries(
    of.flatMap(({ name }) => {
      const value = own(values, name)
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

/** A record from outside has only what was put into it, whatever a field is called. */
export function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}
