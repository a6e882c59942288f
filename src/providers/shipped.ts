import { readFileSync } from 'node:fs'
import { z } from 'zod'
import type { Client } from '../model/flow.ts'
import type { Provider } from '../model/provider.ts'
import { readBuiltIn } from './built-in.ts'
import { unusable } from './unusable.ts'

const FILE = 'clients.json'
const HERE = new URL('./', import.meta.url)
const LOOPBACK = /^http:\/\/(127\.0\.0\.1|localhost)(:\d{1,5})?\//

/** A client that comes along is public: what everybody has is no secret. */
const clientsSchema = z.record(
  z.string(),
  z.strictObject({
    clientId: z.string().regex(/^[\x21-\x7e]{1,512}$/, 'must be visible ASCII without blanks'),
    /** Who answers for it at the provider, and is asked when it stops working. */
    owner: z.string().trim().min(1, 'must name whose it is'),
    redirectUris: z
      .array(z.string().regex(LOOPBACK, 'must be a whole address on loopback'))
      .min(1)
      .optional(),
  }),
)

export type ShippedClients = Readonly<Record<string, Client>>

/** The clients that come with Valetkey, by their provider. Throws `config-invalid` for what cannot be used. */
export function readShipped(folder: URL = HERE, providers = readBuiltIn(folder)): ShippedClients {
  return parseShipped(JSON.parse(readFileSync(new URL(FILE, folder), 'utf8')), providers)
}

export function parseShipped(file: unknown, providers: readonly Provider[]): ShippedClients {
  const read = clientsSchema.safeParse(file)
  if (!read.success) throw unusable(FILE, wordsOf(read.error.issues))
  return Object.fromEntries(
    Object.entries(read.data).map(([id, { clientId, redirectUris }]) => {
      if (providers.find((provider) => provider.id === id)?.oauth === undefined)
        throw unusable(FILE, `${id} is no provider that is signed in to by a client`)
      return [id, { clientId, clientSecret: undefined, redirectUri: firstOf(redirectUris) }]
    }),
  )
}

function firstOf(redirectUris: readonly string[] = []): URL | undefined {
  const [first] = redirectUris
  return first === undefined ? undefined : new URL(first)
}

function wordsOf([issue]: readonly z.core.$ZodIssue[]): string {
  return `${issue?.path.join('.')} ${issue?.message ?? 'cannot be used'}`
}
