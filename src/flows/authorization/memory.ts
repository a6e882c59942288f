import { z } from 'zod'
import { serverSchema } from '../../protocol/server.ts'
import { askingSchema } from '../filled/beforehand.ts'
import { choosingSchema } from '../issued/after-issue.ts'

const values = z.record(z.string(), z.string())

/** While the person is away: all that the answer must belong to, and that it is redeemed with. */
const visitingSchema = z.strictObject({
  stage: z.literal('visiting'),
  server: serverSchema,
  clientId: z.string(),
  redirectUri: z.string(),
  url: z.string(),
  until: z.iso.datetime(),
  /** Of a request that was pushed: after this its address leads nowhere. */
  pushedUntil: z.iso.datetime().optional(),
  /** What the tokens will be bound to. */
  dpopKey: z.string().optional(),
  state: z.string(),
  /** Absent only where the provider is known to refuse PKCE. */
  verifier: z.string().optional(),
  /** Present where the person signs in with OpenID Connect. */
  nonce: z.string().optional(),
  scopes: z.array(z.string()),
  vars: values,
})

export const memorySchema = z.discriminatedUnion('stage', [askingSchema, visitingSchema, choosingSchema])

export type Visiting = z.infer<typeof visitingSchema>
