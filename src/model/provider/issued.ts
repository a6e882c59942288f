import { z } from 'zod'
import { asking } from './asking.ts'
import { fieldName, link, pointer } from './forms.ts'

/** What is asked of the provider's API once there is a token, for what the account's addresses need. */
export const lookup = z.strictObject({
  request: asking,
  /** The list to choose from, empty where it is all of the answer; left out where that is about one thing. */
  list: z.union([z.literal(''), pointer]).optional(),
  /** In each of the list: what becomes of the variable, and what a person knows it by. */
  value: pointer,
  label: pointer.optional(),
  /** The variable. Where there are several the person is asked which. */
  as: fieldName,
})

/** What was issued is traded in at once, and what comes of that is worn. */
export const exchange = z.union([
  z.strictObject({
    request: asking,
    /** Where in the answer. */
    token: pointer.default('/access_token'),
    expiresIn: pointer.optional(),
    /** In seconds since 1970. */
    expiresAt: pointer.optional(),
    /** How long it lives where the answer does not say so. */
    seconds: z.int().min(60).max(31_536_000).optional(),
    /** By pointer: the variable that is told. */
    told: z.record(pointer, fieldName).default({}),
    /** Whose it is, where what was issued first tells and what came of it does not. */
    whose: z.strictObject({ request: asking, subject: pointer, displayName: pointer.optional() }).optional(),
    /** How it is renewed: by the same request with what was issued first, or by one that shows what is worn now. */
    renew: z.union([z.literal('again'), asking]),
    /** It is not renewed before it is so old, and never after its end. */
    renewableAfterSeconds: z.int().min(1).max(31_536_000).optional(),
    /** Answers that say that what was shown is over for good: by their status, and by what stands in them. */
    over: z
      .array(z.strictObject({ status: z.int(), at: pointer.optional(), is: z.string().optional() }))
      .default([]),
  }),
  /** RFC 8693, at the token endpoint. */
  z.strictObject({
    how: z.literal('token-exchange'),
    audience: z.string().optional(),
    resource: link.optional(),
    scopes: z.array(z.string()).default([]),
  }),
])

/** Where things are in the document in which a provider hands out a key: with it a token is asked for (RFC 7523). */
export const assertion = z.strictObject({
  /** What says by itself that it is such a document. */
  is: z.record(pointer, z.string()).default({}),
  issuer: pointer,
  privateKey: pointer,
  keyId: pointer.optional(),
  /** The token endpoint that it is for; another than the provider's own is refused. */
  endpoint: pointer.optional(),
  /** What it is asked for where nobody says what for. */
  usual: z.array(z.string()).default([]),
  /** How long a token of it is asked for. */
  seconds: z.int().min(60).max(3600).default(3600),
})

/** How a shorter and smaller credential is had for the one that is kept. */
export const mint = z.discriminatedUnion('how', [
  z.strictObject({ how: z.literal('github-app') }),
  z.strictObject({ how: z.literal('aws-sts') }),
  z.strictObject({ how: z.literal('aws-sso') }),
  z.strictObject({ how: z.literal('google-impersonation'), url: link }),
  z.strictObject({ how: z.literal('token-exchange') }),
])

/**
 * It ends no more than the grant that it names. Where nobody said so it may end all that the same person gave
 * the same client, and nothing is ended there beside what is in use.
 */
const alone = z.boolean().default(false)

/** How a credential is ended at the provider; `at` is where a person can do it, where nothing else does. */
export const revocation = z.union([
  z.strictObject({ how: z.literal('console'), at: link.optional() }),
  /** RFC 7009, at the endpoint of `oauth` or of the issuer's metadata. */
  z.strictObject({ how: z.literal('rfc7009'), alone, at: link.optional() }),
  /** One request of the provider's own, which ends the tokens that it names. */
  z.strictObject({
    how: z.literal('request'),
    ...asking.shape,
    /** Answers that say it is ended; where one says so by a word of its own, that is true at `okAt`. */
    ok: z.array(z.number().int()).default([200, 204]),
    okAt: pointer.optional(),
    /** What it ends without showing it, where it names whose tokens they are. */
    ends: z.array(z.enum(['accessToken', 'refreshToken'])).default([]),
    alone,
    at: link.optional(),
  }),
])
