import { z } from 'zod'
import { verification } from './asking.ts'
import { fieldName, headerName, host, link, name, pattern, pointer } from './forms.ts'
import { assertion, exchange, lookup, mint, revocation } from './issued.ts'
import { oauth, redirect } from './oauth.ts'
import { keyField, presentation } from './worn.ts'

/** How the vendor stands to other programs that use this way in. */
const policy = z.strictObject({
  /**
   * `tolerated`: it is used where it is asked for by name. `prohibited` and `dead`: it is refused unless the
   * operator switched it on.
   */
  stance: z.enum(['tolerated', 'prohibited', 'dead']),
  /** In words for a person: what the vendor says, and since when. */
  says: z.string().min(1).max(200),
})

/** How a client of ours comes to be there; `dynamic` falls back on one of the person's own. */
export const registration = z.enum(['none', 'metadata-document', 'dynamic', 'shipped', 'yours'])

export const signIn = z.strictObject({
  flow: name,
  /** Names of the provider by which this way in is meant. */
  called: z.array(name).default([]),
  policy: policy.optional(),
  /** What is other for this way in than for the rest: where what is issued is good, or how it is had. */
  apart: z
    .strictObject({
      hosts: z.array(host).min(1).optional(),
      headers: z.record(headerName, z.string()).optional(),
      oauth: oauth.optional(),
      registration: registration.optional(),
      revoke: revocation.optional(),
    })
    .optional(),
  /** Asked for every time; without a tick there is no account. */
  scopes: z.array(z.string()).default([]),
  /** Asked for where the person wishes. */
  optionalScopes: z.array(z.strictObject({ name: z.string(), label: z.string().optional() })).default([]),
  /** Values that the token endpoint tells: by pointer, the variable. */
  told: z.record(pointer, fieldName).default({}),
  /** Where the token endpoint says whose account it is, where nothing else does. */
  whose: z.strictObject({ subject: pointer.optional(), displayName: pointer.optional() }).optional(),
  lookups: z.array(lookup).default([]),
  /** What the browser brings back is signed with the client's secret (HMAC SHA-256, over all the rest). */
  signed: z.strictObject({ parameter: z.string(), by: z.literal('hmac-sha256-hex') }).optional(),
  assertion: assertion.optional(),
  exchange: exchange.optional(),
  mint: mint.optional(),
  redirect: redirect.optional(),
  /** Variables that are known only when the browser comes back, by the name of the parameter. */
  captures: z.record(z.string(), z.string()).default({}),
  label: z.string().optional(),
  fields: z.array(keyField).default([]),
  present: z.array(presentation).min(1),
  verify: verification.optional(),
  /** The telltale shape by which a pasted key names this provider. */
  recognise: pattern.optional(),
  /** Where a person makes such a credential. */
  console: link.optional(),
})
