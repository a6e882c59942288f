import { type Field, ValetkeyError } from '#client'
import type { Secret } from '../../model/secret.ts'
import type { FlowAnswer } from '../../model/words.ts'

/** More than any key is long, and less than would be a burden to seal. */
const MOST_BYTES = 16 * 1024

/**
 * What a person filled in, with the blanks around it cut off and empty fields left out. Throws
 * `invalid-request` for anything that was not asked, and for what was asked and is not there.
 */
export function filled(fields: readonly Field[], answer: FlowAnswer): ReadonlyMap<string, string> {
  if (!('fields' in answer)) throw refused('fields are asked, and something else was answered')
  const unknown = Object.keys(answer.fields).some((name) => fields.every((field) => field.name !== name))
  if (unknown) throw refused('a field was answered that nobody asked for', `asked: ${names(fields)}`)
  return new Map(fields.flatMap((field) => entry(field, answer.fields)))
}

function entry(field: Field, given: Extract<FlowAnswer, { fields: unknown }>['fields']): [string, string][] {
  const secret = Object.hasOwn(given, field.name) ? given[field.name] : undefined
  const value = blankless(field.name, secret)
  if (value === '' && !field.optional) throw refused(`"${field.name}" is missing`)
  if (value === '') return []
  if (field.kind === 'confirm' && !/^(yes|no|true|false)$/.test(value))
    throw refused(`"${field.name}" is answered with yes or no`)
  if (field.kind === 'choice' && !field.choices?.includes(value))
    throw refused(`"${field.name}" is none of its choices`, field.choices?.join(', '))
  return [[field.name, value]]
}

/** A pasted value without the blanks and line ends that came along with it. */
export function blankless(name: string, secret: Secret | undefined): string {
  if (secret && secret.revealBytes().length > MOST_BYTES) throw refused(`"${name}" is too long`)
  return secret?.reveal().trim() ?? ''
}

export function confirmed(values: ReadonlyMap<string, string>, name: string): boolean {
  return ['yes', 'true'].includes(values.get(name) ?? '')
}

function names(fields: readonly Field[]): string {
  return fields.map(({ name }) => name).join(', ')
}

function refused(message: string, hint?: string): ValetkeyError {
  return new ValetkeyError('invalid-request', message, hint === undefined ? {} : { hint })
}
