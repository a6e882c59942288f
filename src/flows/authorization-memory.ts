import { z } from 'zod'
import { serverSchema } from '../protocol/server.ts'
import { whySchema } from './key-fields.ts'

const values = z.record(z.string(), z.string())

/** Before the person is sent off: what was filled in so far, and why it is asked again. */
const askingSchema = z.strictObject({
  stage: z.literal('asking'),
  values,
  why: whySchema.optional(),
})

/** While the person is away: all that the answer must belong to, and that it is redeemed with. */
const visitingSchema = z.strictObject({
  stage: z.literal('visiting'),
  server: serverSchema,
  clientId: z.string(),
  redirectUri: z.string(),
  url: z.string(),
  until: z.iso.datetime(),
  state: z.string(),
  /** Absent only where the provider is known to refuse PKCE. */
  verifier: z.string().optional(),
  /** Present where the person signs in with OpenID Connect. */
  nonce: z.string().optional(),
  scopes: z.array(z.string()),
  vars: values,
})

export const memorySchema = z.discriminatedUnion('stage', [askingSchema, visitingSchema])

export type Asking = z.infer<typeof askingSchema>
export type Visiting = z.infer<typeof visitingSchema>
