import { generateKeyPairSync } from 'node:crypto'
import { z } from 'zod'
import { canary } from './canary.ts'

const RSA_KEY = '{rsaKey}'

const text = z.record(z.string(), z.string())

/** What a provider said once, where it said it. */
const answer = z.strictObject({
  /** A method and a path: `POST /oauth/token`. The query counts only where one is written. */
  on: z.string().regex(/^(GET|POST|PUT|DELETE|HEAD) \/\S*$/, 'must be a method and a path'),
  status: z.int().default(200),
  type: z.string().default('application/json'),
  headers: text.default({}),
  /** JSON, or the text of anything else. */
  body: z.unknown(),
  /** How often it is said; once, where that is left out. */
  times: z.int().min(1).default(1),
  /** By which way in it is asked for, where others are told something else. */
  flow: z.string().optional(),
})

/** What becomes of an account that comes to be by one of the ways in. What is left out is not compared. */
const outcome = z.strictObject({
  subject: z.string().nullable().optional(),
  displayName: z.string().nullable().optional(),
  scopes: z.array(z.string()).optional(),
  vars: text.optional(),
  /** It is renewed by itself. */
  renews: z.boolean(),
  /** Something of it is ended at the provider when it is given up. */
  ends: z.boolean(),
})

/**
 * A provider as it was recorded: what a person fills in, what the browser brings back, and what its servers
 * answer, in order. In any text `{canary:name}` is a secret, `{rsaKey}` a private key,
 * `{origin}` where the provider is, `{now+60}` a moment in seconds since 1970, and `{idToken}` what says who
 * signed in.
 */
export const recordedSchema = z.strictObject({
  vars: text.default({}),
  fields: text.default({}),
  /** What the browser brings back besides the code. */
  callback: text.default({}),
  /** By variable: what the person takes where there are several. */
  choose: text.default({}),
  /** What the ID token says besides what every one does. */
  idToken: z.record(z.string(), z.unknown()).default({}),
  answers: z.array(answer),
  expect: z.record(z.string(), outcome),
})

export type Recorded = z.infer<typeof recordedSchema>
export type RecordedAnswer = z.infer<typeof answer>
export type Outcome = z.infer<typeof outcome>

/** The same with every secret made up, and the same one wherever it has the same name. */
export function withSecrets(recorded: Recorded): Recorded {
  let key: string | undefined
  const rsaKey = () => {
    key ??= newRsaKey()
    return key
  }
  const secrets = new Map<string, string>()
  const secret = (name: string) => {
    const known = secrets.get(name) ?? canary(name)
    secrets.set(name, known)
    return known
  }
  return replaced(recorded, (one) => {
    const text = one.replaceAll(/\{canary:([\w-]+)\}/g, (_, name: string) => secret(name))
    // By itself it is the key; inside of a document it is written as that is.
    return text === RSA_KEY ? rsaKey() : text.replaceAll(RSA_KEY, () => JSON.stringify(rsaKey()).slice(1, -1))
  })
}

function newRsaKey(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
}

/** Every text in a value, replaced. */
export function replaced<T>(value: T, by: (text: string) => string): T {
  if (typeof value === 'string') return by(value) as T
  if (Array.isArray(value)) return value.map((one) => replaced(one, by)) as T
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, replaced(one, by)])) as T
}
