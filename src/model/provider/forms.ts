import { z } from 'zod'

export const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'must be lower-case letters, digits, dots and dashes')
export const fieldName = z
  .string()
  .regex(/^[a-zA-Z][a-zA-Z0-9_]{0,62}$/, 'must be letters, digits and underscores, a letter first')
export const headerName = z.string().regex(/^[a-z0-9-]+$/, 'must be the name of a header in lower case')
export const pointer = z.string().startsWith('/', 'must be a JSON pointer, such as /user/id')
export const pattern = z.string().max(500).refine(isPattern, 'is not a regular expression')
/** A host, in which `{name}` stands for one of the provider's variables. */
export const host = z
  .string()
  .regex(/^[a-zA-Z0-9.{}_-]+(:\d{1,5})?$/, 'must be the name of a host, without https:// or a path')
/** Plain http is for loopback alone, where the operator has to open the port as well. */
export const link = z
  .string()
  .regex(
    /^(https:\/\/|http:\/\/(127\.0\.0\.1|\[::1\])(:\d{1,5})?(\/|$))[^\s]*$/,
    'must be an address that begins with https://',
  )

function isPattern(text: string): boolean {
  try {
    return new RegExp(text, 'u') instanceof RegExp
  } catch {
    return false
  }
}

/** Whether a value is, from its first to its last character, what a pattern describes. */
export function fits(pattern: string, value: string): boolean {
  return new RegExp(`^(?:${pattern})$`, 'u').test(value)
}
