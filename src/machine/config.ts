import { z } from 'zod'
import { ValetkeyError } from '#client'
import { PIN } from '../model/network.ts'
import { readOwn } from './files.ts'
import { REFUSED_BY_BROWSERS } from './ports.ts'

const origin = z.string().refine(isOrigin, 'is not an origin such as http://127.0.0.1:8080')
const pinnedHost = z.string().refine(isHostAlone, 'is not a host')
const pin = z.string().regex(PIN, 'is not sha256/ and a digest in base64')
const opened = z.string().refine(isHost, 'is not a host, or host:port')

const configSchema = z
  .strictObject({
    keySource: z.enum(['passphrase', 'file', 'environment', 'command']).optional(),
    keyCommand: z.string().min(1).optional(),
    /** Where the operator put a stand-in in a provider's place. */
    origins: z.record(z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/), origin).optional(),
    /** Private addresses that the operator opens by name. */
    allow: z.array(opened).optional(),
    /** By host: the keys that its certificate may have; several, so that a server can change its key. */
    pins: z.record(pinnedHost, z.array(pin).min(1)).optional(),
    /** The public address of a document that describes this client, for servers that take one for an id. */
    clientDocument: z.string().refine(isDocument, 'is not an https address with a path').optional(),
    /** Providers whose vendor's own sign-in is used here although it forbids that, or has ended it. */
    vendorLogins: z.array(z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/)).optional(),
    /** Where browsers come back to from a provider: to a port of their own, or to the page's. */
    callback: z.enum(['loopback', 'page']).optional(),
    port: z
      .int()
      .min(0)
      .max(65_535)
      .refine((port) => !REFUSED_BY_BROWSERS.has(port), 'is a port that browsers refuse to open')
      .optional(),
  })
  .refine(({ keySource, keyCommand }) => keySource !== 'command' || keyCommand !== undefined, {
    path: ['keyCommand'],
    message: 'is needed for the key source "command"',
  })
  .refine(({ callback, port = 0 }) => callback !== 'page' || port > 0, {
    path: ['port'],
    message: 'is needed for browsers that come back to the page',
  })
  .readonly()

export type Config = z.infer<typeof configSchema>

const FIELDS = [
  'keySource',
  'keyCommand',
  'origins',
  'allow',
  'pins',
  'clientDocument',
  'vendorLogins',
  'callback',
  'port',
] as const satisfies ReadonlyArray<keyof Config>

/** Nothing is written, and nothing is guessed: what cannot be used is refused by file and field. */
export async function readConfig(file: string): Promise<Config> {
  const bytes = await readOwn(file, { readableByOthers: true }).catch((error: unknown) => {
    const unreadable = error instanceof ValetkeyError && error.code === 'vault-unreadable'
    throw unreadable ? invalid(file, 'it cannot be read', `chmod 600 "${file}"`) : error
  })
  if (!bytes) return {}
  const read = configSchema.safeParse(parse(file, bytes))
  if (read.success) return read.data
  const [issue] = read.error.issues
  if (issue?.code === 'unrecognized_keys') throw unknownField(file, issue.keys[0] ?? '')
  throw invalid(file, `"${issue?.path.join('.')}" ${wordsOf(issue)}`, `correct this field in ${file}`)
}

/** What the parser says is left out: it quotes the file. */
function parse(file: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw invalid(file, 'it is not JSON', `correct ${file}, or move it away`)
  }
}

function wordsOf(issue: z.core.$ZodIssue | undefined): string {
  if (issue?.code === 'custom') return issue.message
  return `is not right: ${(issue?.message ?? '').toLowerCase()}`
}

function unknownField(file: string, field: string): ValetkeyError {
  const near = nearest(field, FIELDS)
  const hint = near ? `did you mean "${near}"?` : `the fields are ${FIELDS.join(', ')}`
  return invalid(file, `no field is called "${field}"`, hint)
}

function invalid(file: string, why: string, hint: string): ValetkeyError {
  return new ValetkeyError('config-invalid', `${file} cannot be used: ${why}`, { hint })
}

function isOrigin(text: string): boolean {
  return /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text
}

function isDocument(text: string): boolean {
  const url = URL.parse(text)
  const isHere = url?.protocol === 'http:' && url.hostname === '127.0.0.1'
  return url !== null && (url.protocol === 'https:' || isHere) && url.href === text && url.pathname !== '/'
}

function isHost(text: string): boolean {
  return /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.test(text) && URL.canParse(`https://${text}`)
}

function isHostAlone(text: string): boolean {
  return isHost(text) && !/:\d+$/.test(text)
}

/** The known name that takes the fewest single edits, if that is less than half of it. */
function nearest(word: string, names: readonly string[]): string | undefined {
  const [best] = names
    .map((name) => ({ name, away: distance(word.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.away - b.away)
  return best && best.away * 2 < best.name.length ? best.name : undefined
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1]
    for (let j = 1; j <= b.length; j += 1) {
      const changed = (row[j - 1] ?? 0) + (letter === b[j - 1] ? 0 : 1)
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
