import { z } from 'zod'
import { headerName, link, pointer } from './forms.ts'

/** Where an authorization server sends the browser back to, where it does not take any loopback port. */
export const redirect = z.strictObject({
  host: z.enum(['127.0.0.1', 'localhost']).default('127.0.0.1'),
  port: z.number().int().min(1024).max(65_535).optional(),
  path: z.string().startsWith('/', 'must begin with /').optional(),
})

/** How a code is entered elsewhere (RFC 8628), where the metadata of the issuer do not say it all. */
const device = z.strictObject({
  authorize: link.optional(),
  /** Where it is asked whether the code was entered, where that is not the token endpoint. */
  token: link.optional(),
  /** Where the code is entered, where no answer says so. */
  verify: link.optional(),
  params: z.record(z.string(), z.string()).default({}),
  /** The grant it is asked for by, and the parameter that the code goes in, where these are not the standard's. */
  grant: z
    .string()
    .regex(/^[a-z_:-]{1,80}$/, 'must be the name of a grant')
    .default('urn:ietf:params:oauth:grant-type:device_code'),
  codeParam: z
    .string()
    .regex(/^[a-z_]{1,40}$/, 'must be the name of a parameter')
    .default('device_code'),
  /** The challenge goes with the first request, the verifier with those for the token. */
  pkce: z.boolean().default(false),
  /**
   * `code`: both requests are JSON, and what comes at the end is a code with a verifier of the server's making,
   * which is redeemed as one that a browser brought to `redirect`.
   */
  yields: z.enum(['tokens', 'code']).default('tokens'),
  redirect: link.optional(),
})

/** Where things are in the answers of a token endpoint that does not have them where the standard has. */
export const shape = z.strictObject({
  /** In what all tokens are. */
  in: pointer.optional(),
  accessToken: pointer.optional(),
  refreshToken: pointer.optional(),
  expiresIn: pointer.optional(),
  scope: pointer.optional(),
  /** An answer that is well says true here, whatever its status; otherwise it is a refusal. */
  ok: pointer.optional(),
  error: pointer.optional(),
  /** Its tokens are bearer tokens, whatever their type is called, if it is told at all. */
  untyped: z.boolean().default(false),
})

/** The authorization server: found by its issuer, or named endpoint by endpoint. */
export const oauth = z
  .strictObject({
    /** Compared to the letter; its metadata name the endpoints. */
    issuer: link.optional(),
    /**
     * The protected resource (RFC 9728), as its own metadata names it: they say who its authorization server
     * is, and every token is asked for this resource alone (RFC 8707). What was found last stands in `issuer`.
     */
    resource: link.optional(),
    authorize: link.optional(),
    token: link.optional(),
    revoke: link.optional(),
    userinfo: link.optional(),
    /** Where tokens are renewed, where that is not the token endpoint. */
    refresh: link.optional(),
    /** RFC 9126; every request for authorization is pushed there. */
    par: link.optional(),
    /** RFC 7662; asked about what was just issued, where nothing else shows whose it is. */
    introspect: link.optional(),
    device: device.optional(),
    /** Every token is asked to be bound to a key of its own (RFC 9449). */
    dpop: z.boolean().default(false),
    /** A public client that the file brings along. A secret never lies in a file. */
    clientId: z
      .string()
      .regex(/^[\x21-\x7e]{1,512}$/, 'must be visible ASCII without blanks')
      .optional(),
    /** How a client proves itself. */
    clientAuth: z.enum(['basic', 'post', 'private_key_jwt', 'tls', 'none']).default('post'),
    /** What is sent to the token endpoint is a form, or the same as JSON. */
    requests: z.enum(['form', 'json']).default('form'),
    /**
     * `unread`: `openid` is asked for because the server wants it, and nothing is read in the ID token that comes
     * of it: nobody is known by whose keys it could be proved.
     */
    idToken: z.enum(['proved', 'unread']).default('proved'),
    /** Sent along with every request to the token endpoint. */
    tokenParams: z.record(z.string(), z.string()).default({}),
    tokenHeaders: z.record(headerName, z.string()).default({}),
    /** What goes there besides with a code, such as the state that it came with. */
    codeParams: z.record(z.string(), z.string()).default({}),
    /** `none` only for a server that is known to refuse the parameter. */
    pkce: z.enum(['S256', 'none']).default('S256'),
    scopeSeparator: z.enum([' ', ',']).default(' '),
    /** The parameter by which scopes are asked for. */
    scopeParam: z
      .string()
      .regex(/^[a-z_]{1,40}$/, 'must be the name of a parameter')
      .default('scope'),
    authorizeParams: z.record(z.string(), z.string()).default({}),
    /** The token endpoint of some answers as a form. */
    answers: z.enum(['json', 'form']).default('json'),
    shape: shape.optional(),
    /** Other words than `invalid_grant` by which it says that a grant is over for good. */
    over: z.array(z.string().regex(/^[a-z_]{1,60}$/, 'must be the name of an error')).default([]),
    /** How long an access token lives of which it does not say so, where there is one to renew it with. */
    accessSeconds: z.int().min(60).max(31_536_000).optional(),
    /** How long a grant lives of which the token endpoint does not say so itself. */
    grantLife: z
      .strictObject({
        /** From the sign-in on, whatever is done. */
        absoluteDays: z.int().min(1).max(3650).optional(),
        /** From the last renewal on. */
        idleDays: z.int().min(1).max(3650).optional(),
      })
      .default({}),
  })
  .refine((it) => it.issuer ?? it.resource ?? it.token, {
    message: 'needs an issuer, or at least token',
  })
