import { z } from 'zod'
import { fieldName, headerName, pattern } from './forms.ts'

/** One field of a key, as the person is asked for it and as a request wears it. */
export const keyField = z.strictObject({
  name: fieldName,
  label: z.string().min(1),
  secret: z.boolean().default(true),
  optional: z.boolean().default(false),
  /** What a whole, well-formed value looks like. */
  pattern: pattern.optional(),
  hint: z.string().optional(),
})

/** What everybody knows of a basic pair: no secret, and nothing that would end its user. */
const half = z
  .string()
  .regex(/^[\x21-\x39\x3b-\x7e]{1,100}$/, 'must be visible ASCII without blanks and colons')

/** How a credential is worn on a request: in a header, as a basic pair, or by a signature. Never in a URL. */
export const presentation = z.union([
  z.strictObject({
    header: headerName,
    prefix: z.string().optional(),
    field: fieldName,
    optional: z.boolean().default(false),
  }),
  z.strictObject({
    basic: z.strictObject({
      user: fieldName.optional(),
      password: fieldName.optional(),
      /** What stands in the place of a half that is no field, where that is not empty. */
      fixed: z.strictObject({ user: half.optional(), password: half.optional() }).optional(),
      /** What stands behind the user, as `/token` does at some. */
      userEnds: half.optional(),
    }),
  }),
  /** AWS Signature Version 4; service and region are those of the host that is asked. */
  z.strictObject({
    sigv4: z.strictObject({ id: fieldName, secret: fieldName, session: fieldName.optional() }),
  }),
])

type Worn = z.infer<typeof presentation>

/** The fields that a request wears in this way. */
export function wornFields(way: Worn): readonly string[] {
  if ('header' in way) return [way.field]
  const fields = 'basic' in way ? [way.basic.user, way.basic.password] : Object.values(way.sigv4)
  return fields.filter((field) => field !== undefined)
}

/** Headers in which nobody else has anything to say. */
export function ownHeaders(way: Worn): readonly string[] {
  return 'sigv4' in way ? ['authorization', 'x-amz-date', 'x-amz-security-token'] : [wornHeader(way)]
}

/** The header that it stands in. */
export function wornHeader(way: Worn): string {
  return 'header' in way ? way.header : 'authorization'
}
