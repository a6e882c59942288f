import { z } from 'zod'
import { headerName, link, pointer } from './forms.ts'

/** Values in which `{name}` stands for what is known: a variable, a field, or what was issued. */
const sent = z.record(z.string(), z.string())

/** One request of the provider's own. */
export const asking = z.strictObject({
  method: z.enum(['GET', 'POST', 'PUT', 'DELETE']).default('POST'),
  /** `{clientId}` may stand in its path, and what is no secret in its query. */
  url: link,
  /** As whom: as nobody, as our client by its id and secret, or by the token that was issued. */
  auth: z.enum(['none', 'client', 'token']).default('none'),
  headers: z.record(headerName, z.string()).default({}),
  form: sent.optional(),
  json: sent.optional(),
  /**
   * What is sent in the address. A secret may be among it only at a provider that takes it in no other way, and
   * whose evidence says so.
   */
  query: sent.default({}),
  secretsInQuery: z.literal(true).optional(),
})

/** One harmless request that shows whether a credential is alive, and whose it is. */
export const verification = z.strictObject({
  method: z.enum(['GET', 'POST']).default('GET'),
  url: link,
  /** What is sent along, such as a query in the language of the provider. */
  json: z.record(z.string(), z.unknown()).optional(),
  ok: z.array(z.number().int()).default([200]),
  /** Where an answer that is well all the same says whether it is: true, and alive. */
  okAt: pointer.optional(),
  refused: z.array(z.number().int()).default([401]),
  /** JSON pointers into the answer. */
  subject: pointer.optional(),
  displayName: pointer.optional(),
})
