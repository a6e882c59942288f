import { z } from 'zod'
import { PIN } from './network.ts'
import type { asking, verification } from './provider/asking.ts'
import { fieldName, headerName, host, link, name, pattern } from './provider/forms.ts'
import { type lookup, revocation } from './provider/issued.ts'
import { oauth, type shape } from './provider/oauth.ts'
import { registration, signIn } from './provider/sign-in.ts'

// A provider is data: read, not run. Every object is strict, so a misspelt field is refused
// instead of silently meaning nothing.

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
  registration,
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
export type Asking = z.infer<typeof asking>
export type Shape = z.infer<typeof shape>
export type Lookup = z.infer<typeof lookup>
export type Exchange = NonNullable<SignIn['exchange']>
export type Assertion = NonNullable<SignIn['assertion']>

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
  /**
   * By its id, an alias, or a name of one of its ways in, which then comes first. With a flow it is as that way
   * sees it: what is `apart` there stands in its own place.
   */
  find(name: string, flow?: string): Provider | undefined
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
