import { z } from 'zod'
import { PIN } from './network.ts'

// A provider is data: read, not run. Every object is strict, so a misspelt field is refused
// instead of silently meaning nothing.

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'must be lower-case letters, digits, dots and dashes')
const fieldName = z
  .string()
  .regex(/^[a-zA-Z][a-zA-Z0-9_]{0,62}$/, 'must be letters, digits and underscores, a letter first')
const headerName = z.string().regex(/^[a-z0-9-]+$/, 'must be the name of a header in lower case')
const pointer = z.string().startsWith('/', 'must be a JSON pointer, such as /user/id')
const pattern = z.string().max(500).refine(isPattern, 'is not a regular expression')
/** A host, in which `{name}` stands for one of the provider's variables. */
const host = z
  .string()
  .regex(/^[a-zA-Z0-9.{}_-]+(:\d{1,5})?$/, 'must be the name of a host, without https:// or a path')
/** Plain http is for loopback alone, where the operator has to open the port as well. */
const link = z
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

/** One field of a key, as the person is asked for it and as a request wears it. */
const keyField = z.strictObject({
  name: fieldName,
  label: z.string().min(1),
  secret: z.boolean().default(true),
  optional: z.boolean().default(false),
  /** What a whole, well-formed value looks like. */
  pattern: pattern.optional(),
  hint: z.string().optional(),
})

/** A part of the provider's addresses that differs from account to account. */
const variable = z.strictObject({
  name: fieldName,
  label: z.string().min(1),
  choices: z.array(z.string()).optional(),
  pattern: pattern.optional(),
  /** A usual value; `{name}` is the host of another variable, which is a whole address. */
  default: z.string().optional(),
  /** Follows from the choice of another variable, so that nobody is asked twice. */
  decided: z.strictObject({ by: fieldName, values: z.record(z.string(), z.string()) }).optional(),
  hint: z.string().optional(),
})

/** How a credential is worn on a request: in a header, or as a basic pair. Never in a URL. */
const presentation = z.union([
  z.strictObject({
    header: headerName,
    prefix: z.string().optional(),
    field: fieldName,
    optional: z.boolean().default(false),
  }),
  z.strictObject({
    basic: z.strictObject({ user: fieldName.optional(), password: fieldName.optional() }),
  }),
])

/** One harmless request that shows whether a credential is alive, and whose it is. */
const verification = z.strictObject({
  method: z.enum(['GET', 'POST']).default('GET'),
  url: link,
  ok: z.array(z.number().int()).default([200]),
  refused: z.array(z.number().int()).default([401]),
  /** JSON pointers into the answer. */
  subject: pointer.optional(),
  displayName: pointer.optional(),
})

/** Where an authorization server sends the browser back to, where it does not take any loopback port. */
const redirect = z.strictObject({
  host: z.enum(['127.0.0.1', 'localhost']).default('127.0.0.1'),
  port: z.number().int().min(1024).max(65_535).optional(),
  path: z.string().startsWith('/', 'must begin with /').optional(),
})

/** The authorization server: found by its issuer, or named endpoint by endpoint. */
const oauth = z
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
    /** A public client that the file brings along. A secret never lies in a file. */
    clientId: z
      .string()
      .regex(/^[\x21-\x7e]{1,512}$/, 'must be visible ASCII without blanks')
      .optional(),
    /** How a client that has a secret shows it. */
    clientAuth: z.enum(['basic', 'post']).default('post'),
    /** `none` only for a server that is known to refuse the parameter. */
    pkce: z.enum(['S256', 'none']).default('S256'),
    scopeSeparator: z.enum([' ', ',']).default(' '),
    authorizeParams: z.record(z.string(), z.string()).default({}),
    /** The token endpoint of some answers as a form. */
    answers: z.enum(['json', 'form']).default('json'),
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
  .refine((it) => it.issuer ?? it.resource ?? (it.authorize && it.token), {
    message: 'needs an issuer, or both authorize and token',
  })

const signIn = z.strictObject({
  flow: name,
  /** Asked for every time; without a tick there is no account. */
  scopes: z.array(z.string()).default([]),
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

/**
 * It ends no more than the grant that it names. Where nobody said so it may end all that the same person gave
 * the same client, and nothing is ended there beside what is in use.
 */
const alone = z.boolean().default(false)

/** How a credential is ended at the provider; `at` is where a person can do it, where nothing else does. */
const revocation = z.union([
  z.strictObject({ how: z.literal('console'), at: link.optional() }),
  /** RFC 7009, at the endpoint of `oauth` or of the issuer's metadata. */
  z.strictObject({ how: z.literal('rfc7009'), alone, at: link.optional() }),
  /** One request of the provider's own, which ends the tokens that it names. */
  z.strictObject({
    how: z.literal('request'),
    method: z.enum(['DELETE', 'POST']),
    /** `{clientId}` may stand in its path. */
    url: link,
    /** As our client, by its id and its secret. */
    auth: z.literal('client'),
    /** Values in which `{accessToken}`, `{refreshToken}` and `{clientId}` stand for what they name. */
    json: z.record(z.string(), z.string()),
    alone,
    at: link.optional(),
  }),
])

/** How a person makes a client of their own at the provider. */
const registrationGuide = z.strictObject({
  /** The page on which it is made. */
  console: link,
  /** How long it takes whoever has an account there. */
  minutes: z.int().min(1).max(600),
  /** What cannot be guessed on that page, in a sentence or two. */
  note: z.string().min(1).max(400).optional(),
})

const variables = z
  .array(z.string().regex(/^[A-Z_][A-Z0-9_]{0,62}$/, 'must be the name of a variable, in upper case'))
  .default([])

/** In which variables of their environment programs usually look for an account of it. */
const programs = z.strictObject({
  /** For a token that they hold. */
  token: variables,
  /** By the field's name, where a credential has several. */
  fields: z.record(fieldName, variables).default({}),
  /** For where their requests go instead of to the first host; the path follows there. */
  baseUrl: z
    .strictObject({
      variables,
      path: z
        .string()
        .regex(/^(\/[\w.-]+)*$/, 'must be empty, or begin with / and not end with it')
        .default(''),
    })
    .nullable()
    .default(null),
  /** For what they show there. */
  key: variables,
})

export const providerSchema = z.strictObject({
  $schema: z.string().optional(),
  id: name,
  name: z.string().min(1).max(80),
  category: z.enum([
    'ai',
    'dev',
    'observability',
    'productivity',
    'commerce',
    'communication',
    'identity',
    'other',
  ]),
  aliases: z.array(name).default([]),
  vars: z.array(variable).default([]),
  /** The only hosts that its credentials may go to; the first is where a bare path goes. */
  hosts: z.array(host).min(1),
  /** Where its MCP server is, at the first of its hosts; for whoever forwards to it that is `/mcp`. */
  mcp: z
    .string()
    .regex(/^\/(?!\/)[\x21\x24-\x7e]*$/, 'must be a path that begins with one /')
    .optional(),
  /** Worn by every request that does not bring its own. */
  headers: z.record(headerName, z.string()).default({}),
  oauth: oauth.optional(),
  /** How a client of ours comes to be there; `dynamic` falls back on one of the person's own. */
  registration: z.enum(['none', 'metadata-document', 'dynamic', 'shipped', 'yours']),
  registrationGuide: registrationGuide.optional(),
  signIns: z.array(signIn).min(1),
  programs: programs.optional(),
  revoke: revocation,
  /** By host: the keys that its certificate may have, and no other. */
  pins: z
    .record(host, z.array(z.string().regex(PIN, 'must be sha256/ and a digest in base64')).min(1))
    .default({}),
  evidence: z.record(z.string(), z.array(z.string()).min(1)).default({}),
})

export type Provider = z.infer<typeof providerSchema>
export type ProviderFile = z.input<typeof providerSchema>
export type SignIn = Provider['signIns'][number]
export type Variable = Provider['vars'][number]
export type Presentation = SignIn['present'][number]
export type OAuth = NonNullable<Provider['oauth']>
export type Revocation = Provider['revoke']
export type Verification = z.infer<typeof verification>

/** A provider with its variables filled in and its stand-in, if the operator named one. */
export interface Destination {
  /** Where a bare path goes. */
  readonly base: URL
  /** The provider's own origins, as it declares them. */
  readonly own: readonly string[]
  /** The only origins that the credential may go to. */
  readonly origins: readonly string[]
  /** The same address at the stand-in, where the operator put one in the provider's place. */
  place(link: string | URL): URL
}

/** Where a provider's authorization server is. */
export type Authority = Pick<Destination, 'place'>

/** All providers of this installation: ours, and the owner's own. */
export interface Catalogue {
  list(): readonly Provider[]
  find(idOrAlias: string): Provider | undefined
  /** The provider whose telltale shape a pasted key has; undefined when none or several have. */
  recognise(key: string): Provider | undefined
  isBuiltIn(id: string): boolean
  /** A name for the provider at this address that nobody has yet, made of its host: `notion-mcp`. */
  freeName(url: URL): string
  /** Writes a file of the owner's own, and knows the provider from then on. A built-in's name is refused. */
  keep(file: ProviderFile): Promise<Provider>
  /** Throws `invalid-request` for variables that are missing or not of the declared form. */
  destination(provider: Provider, vars: Readonly<Record<string, string>>): Destination
  /**
   * Where its authorization server is, whatever is not known yet of its API's hosts. Of a list of
   * choices the usual one is taken; undefined while anything else is missing, or of another form.
   */
  authority(provider: Provider, vars: Readonly<Record<string, string>>): Authority | undefined
}
