import { z } from 'zod'
import { type Address, formatAddress, parseAddress } from '#client'
import { isCallerId } from '../../model/caller.ts'
import type { Credential, Profile } from '../../model/credential.ts'
import { VERBS_OF_A_BINDING } from '../../model/gate.ts'
import type { Secret } from '../../model/secret.ts'
import { isScope } from '../../protocol/scopes.ts'
import type { ExportedRecord } from '../../vault/export-document.ts'
import type { OpenedExport } from '../../vault/export-opening.ts'
import type { BindingTerms } from '../bindings.ts'
import type { Grant } from '../grants.ts'
import { readLimits } from '../keys/limits.ts'
import type { Provenance } from '../provenance.ts'

const LONGEST_ADDRESS = 130

const A_DATE = 'is no date'
const NO_DAYS = 'is no number of days'
const date = z.iso.datetime(A_DATE)
/** Several are separated by one space. */
const scopes = z
  .string('are no scopes')
  .refine((text) => text === '' || text.split(' ').every(isScope), 'are no scopes')

const first = {
  address: z.string('is no text'),
  bucket: z.string('is no text'),
  flow: z.string('is no text'),
  connectedAt: z.int(A_DATE).min(0, A_DATE),
  standing: z.union([z.literal(0), z.literal(1)], 'is neither 0 nor 1'),
  tokenType: z.string('is no text').regex(/^[\x20-\x7e]{1,100}$/, 'is not printable'),
  scopes,
  expiresAt: date.nullable(),
  profile: z.string('is no text'),
}

const firstSchema = z.strictObject(first)
const secondSchema = z.strictObject({
  ...first,
  status: z.enum(['connected', 'needs-reauth'], 'is neither connected nor needs-reauth'),
  reason: z
    .string('is no text')
    .regex(/^\P{Cc}{0,1000}$/u, 'is not printable')
    .nullable(),
  issuedAt: date,
  grantEndsAt: date.nullable(),
  idleEndsAt: date.nullable(),
  origins: z.string('is no text'),
  issuer: z.string('is no text').nullable(),
  client: z.string('is no text').nullable(),
  rotateDays: z.int(NO_DAYS).min(1, NO_DAYS).max(3650, NO_DAYS).nullable(),
  bindings: z.string('is no text'),
})

type Plain = z.infer<typeof firstSchema> | z.infer<typeof secondSchema>

/** What is written beside the secrets of an account, by the version of the export. */
const PLAIN: Readonly<Record<OpenedExport['version'], z.ZodType<Plain>>> = { 1: firstSchema, 2: secondSchema }

const text = z.string().max(4096)
const profileSchema = z.strictObject({
  subject: text.nullable(),
  displayName: text.nullable(),
  vars: z.record(z.string(), text),
  ownServer: text.exactOptional(),
  wished: z.array(text).max(200).exactOptional(),
  email: text.exactOptional(),
  emailVerified: z.boolean().exactOptional(),
  name: text.exactOptional(),
  locale: text.exactOptional(),
  authTime: text.exactOptional(),
}) satisfies z.ZodType<Profile>

const limitsSchema = z.strictObject({
  only: z.array(z.string()).optional(),
  rate: z.strictObject({ uses: z.number(), seconds: z.number() }).optional(),
  budget: z.number().optional(),
  hours: z.strictObject({ from: z.string(), to: z.string() }).optional(),
})

const bindingsSchema = z.array(
  z.strictObject({
    caller: z.string().refine(isCallerId),
    may: z.array(z.enum(VERBS_OF_A_BINDING)).min(1),
    asks: z.enum(['never', 'first-use', 'always']),
    limits: limitsSchema.optional(),
    until: date.nullable(),
  }),
)

const FIELD = /^(worn|kept):([a-zA-Z][a-zA-Z0-9_]{0,62})$/

/** One account of an export, as it can be read; whether it is any good is another question. */
export interface Arrival extends Address {
  readonly address: string
  readonly flow: string
  readonly connectedAt: Date
  readonly grant: Grant
  /** Nothing is left of it but what was decided about it: its person has to connect it again. */
  readonly over?: { readonly reason: string | null }
  readonly rotateDays: number | null
  readonly bindings: readonly BindingTerms[]
  /** Left out by the first version, which did not say it. */
  readonly from?: Pick<Provenance, 'origins' | 'issuer'> & { readonly client: string | null }
}

/** What cannot be read is told in words. */
export function readArrival(
  record: ExportedRecord,
  { version, createdAt }: Pick<OpenedExport, 'version' | 'createdAt'>,
): Arrival | string {
  const { data: plain, error } = PLAIN[version].safeParse(record.plain)
  if (plain === undefined) return inWords(error)
  const { address, bucket, flow, connectedAt } = plain
  if (!isAddress(address, { provider: record.about, bucket })) return 'this is no address'
  const profile = readProfile(plain.profile)
  if (profile === undefined) return 'its profile cannot be read'
  const secrets = readSecrets(record.fields)
  if (typeof secrets === 'string') return secrets
  const bindings = readBindings('bindings' in plain ? plain.bindings : '[]')
  if (bindings === undefined) return 'its bindings cannot be read'
  const issuedAt = 'issuedAt' in plain ? new Date(plain.issuedAt) : createdAt
  const credential = { ...secrets, ...readCredential(plain) }
  return {
    ...{ address, provider: record.about, bucket, flow },
    connectedAt: new Date(connectedAt),
    grant: { credential, profile, issuedAt },
    bindings,
    rotateDays: 'rotateDays' in plain ? plain.rotateDays : null,
    ...('status' in plain && plain.status === 'needs-reauth' && { over: { reason: plain.reason } }),
    ...('origins' in plain && {
      from: { origins: plain.origins.split(' ').filter(Boolean), issuer: plain.issuer, client: plain.client },
    }),
  }
}

/** Something to call it by, whatever is written there. */
export function nameOf({ plain, about }: ExportedRecord): string {
  const { address } = plain
  const name = typeof address === 'string' && address !== '' ? address : about
  return name.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, LONGEST_ADDRESS)
}

/** To the letter: what only reads as an address would be found under another name later. */
function isAddress(text: string, parts: Address): boolean {
  const parsed = parseAddress(text)
  if (parsed === undefined || formatAddress(parts) !== text) return false
  return parsed.provider === parts.provider && parsed.bucket === parts.bucket
}

function readCredential(plain: Plain): Omit<Credential, 'worn' | 'kept'> {
  const { standing, expiresAt, tokenType } = plain
  return {
    standing: standing === 1,
    expiresAt: dated(expiresAt),
    scopes: plain.scopes === '' ? [] : plain.scopes.split(' '),
    tokenType,
    ...('grantEndsAt' in plain && {
      grantEndsAt: dated(plain.grantEndsAt),
      idleEndsAt: dated(plain.idleEndsAt),
    }),
  }
}

function readProfile(json: string): Profile | undefined {
  try {
    return profileSchema.parse(JSON.parse(json))
  } catch {
    return undefined
  }
}

/** One for each caller, as there is only one of each. */
function readBindings(json: string): readonly BindingTerms[] | undefined {
  try {
    const read = bindingsSchema.parse(JSON.parse(json))
    const isOnce = new Set(read.map(({ caller }) => caller)).size === read.length
    if (!isOnce) return undefined
    return read.map(({ may, limits, until, ...terms }) => {
      const held = limits && { limits: readLimits(limits) }
      return { ...terms, ...held, may: [...new Set(may)], until: dated(until)?.getTime() ?? null }
    })
  } catch {
    return undefined
  }
}

function readSecrets(fields: Readonly<Record<string, Secret>>): Pick<Credential, 'worn' | 'kept'> | string {
  const read: Record<string, Record<string, Secret>> = { worn: {}, kept: {} }
  for (const [name, secret] of Object.entries(fields)) {
    const [, kind = '', field = ''] = FIELD.exec(name) ?? []
    const place = read[kind]
    if (place === undefined) return 'it has a field that is neither worn nor kept'
    if (secret.revealBytes().length === 0) return `its ${field} is empty`
    place[field] = secret
  }
  return { worn: read['worn'] ?? {}, kept: read['kept'] ?? {} }
}

function inWords({ issues: [issue] }: z.ZodError): string {
  if (issue?.code === 'unrecognized_keys') return `it says something that is not known here: ${issue.keys[0]}`
  const [member = 'record'] = issue?.path ?? []
  return `its ${String(member)} ${issue?.message ?? 'cannot be read'}`
}

function dated(text: string | null): Date | null {
  return text === null ? null : new Date(text)
}
