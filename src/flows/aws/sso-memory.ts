import { z } from 'zod'
import { whySchema } from '../filled/key-fields.ts'

const values = z.record(z.string(), z.string())

const askingSchema = z.strictObject({ stage: z.literal('asking'), values, why: whySchema.optional() })

const begun = {
  vars: values,
  values,
  client: z.strictObject({
    clientId: z.string(),
    clientSecret: z.string(),
    clientSecretExpiresAt: z.number(),
  }),
}

const waitingSchema = z.strictObject({
  stage: z.literal('waiting'),
  ...begun,
  deviceCode: z.string(),
  userCode: z.string(),
  at: z.url(),
  whole: z.url().optional(),
  until: z.iso.datetime(),
  notBefore: z.iso.datetime(),
  everySeconds: z.number().positive(),
})

/** The person is signed in, and says for which account and in which role. */
const choosingSchema = z.strictObject({
  stage: z.literal('choosing'),
  ...begun,
  token: z.string(),
  tokenEnds: z.iso.datetime(),
  refreshToken: z.string().optional(),
  field: z.enum(['accountId', 'roleName']),
  choices: z.array(z.strictObject({ label: z.string(), value: z.string() })),
})

export const memorySchema = z.discriminatedUnion('stage', [askingSchema, waitingSchema, choosingSchema])

export type Asking = z.infer<typeof askingSchema>
export type Waiting = z.infer<typeof waitingSchema>
export type Choosing = z.infer<typeof choosingSchema>
/** What is known once somebody has signed in. */
export type SignedIn = Omit<Choosing, 'stage' | 'field' | 'choices'>
