import { z } from '@hono/zod-openapi'
import type * as said from '#client'
import { Secret } from '../model/secret.ts'
import type {
  AuditQuery,
  BindRequest,
  ConnectRequest,
  FlowAnswer,
  LendRequest,
  NarrowRequest,
  RegisterRequest,
  RekeyRequest,
} from '../model/words.ts'
import { asks, decision, grant, limits, may } from './answers.ts'
import { auditVerb, keySource } from './records.ts'
import type { Whole } from './whole.ts'

const time = z.iso.datetime({ offset: true })
const word = z.string().min(1).max(200)
const secrets = z.record(z.string(), z.string())
const visible = z.string().regex(/^[\x21-\x7e]{1,500}$/, 'must be visible ASCII without blanks')

/** The provider stands in the path, or is named by the pasted key. */
export const connectRequest = z
  .strictObject({
    bucket: word.optional(),
    flow: word.optional(),
    vars: z.record(z.string(), z.string()).optional(),
    fields: secrets.optional(),
    insist: z.boolean().optional(),
    scopes: z.array(z.string().min(1).max(400)).max(100).optional(),
    noBrowser: z.boolean().optional(),
    bringsKey: z.boolean().optional(),
  })
  .openapi('ConnectRequest') satisfies Whole<Omit<said.ConnectRequest, 'provider' | 'as'>>

/** Without a path that names the provider: by the address of its server, or by the key that is pasted. */
export const connectAnyRequest = connectRequest
  .extend({ provider: z.url().max(2000).optional(), as: z.string().min(1).max(63).optional() })
  .openapi('ConnectAnyRequest') satisfies Whole<said.ConnectRequest>

export function readConnect(json: z.infer<typeof connectAnyRequest>, provider?: string): ConnectRequest {
  const { fields, ...rest } = json
  return given({
    ...rest,
    provider: provider ?? json.provider,
    fields: fields === undefined ? undefined : sealed(fields),
  })
}

export const flowAnswer = z
  .union([z.strictObject({ fields: secrets }), z.strictObject({ callback: z.string() })])
  .openapi('FlowAnswer') satisfies z.ZodType<said.FlowAnswer>

export function readFlowAnswer(json: said.FlowAnswer): FlowAnswer {
  return 'fields' in json ? { fields: sealed(json.fields) } : { callback: new Secret(json.callback) }
}

export const lendRequest = z
  .strictObject({
    address: word,
    minValidity: z.number().int().min(0).max(31_536_000).optional(),
    purpose: z
      .string()
      .regex(/^[\x20-\x7e]{0,200}$/)
      .optional(),
    refused: z.string().min(1).max(100_000).optional(),
    scopes: z.array(visible).min(1).max(100).optional(),
    audience: visible.optional(),
    repositories: z.array(visible).min(1).max(500).optional(),
  })
  .openapi('LendRequest') satisfies Whole<said.LendRequest>

export function readLend(json: z.infer<typeof lendRequest>): LendRequest {
  return given({ ...json, refused: readSecret(json.refused) })
}

export const usageQuery = z.strictObject({
  address: word.optional(),
  caller: word.optional(),
  days: z.coerce.number().int().min(1).max(400).optional(),
}) satisfies Whole<said.UsageQuery>

export function readUsageQuery(query: z.infer<typeof usageQuery>): said.UsageQuery {
  return given(query)
}

export const leaseQuery = z.strictObject({
  ended: z.stringbool().optional(),
}) satisfies Whole<said.LeaseQuery>

export function readLeaseQuery(query: z.infer<typeof leaseQuery>): said.LeaseQuery {
  return given(query)
}

export const registerRequest = z
  .strictObject({
    provider: word,
    clientId: z.string().min(1).max(2000),
    clientSecret: z.string().max(4096).optional(),
    privateKey: z.string().max(16_384).optional(),
    certificate: z.string().max(65_536).optional(),
    vars: z.record(z.string(), z.string()).optional(),
    insist: z.boolean().optional(),
    endpoints: z.strictObject({ authorize: z.url().max(2000), token: z.url().max(2000) }).optional(),
  })
  .openapi('RegisterRequest') satisfies Whole<said.RegisterRequest>

export function readRegister(json: z.infer<typeof registerRequest>): RegisterRequest {
  const { clientSecret, privateKey, endpoints, ...rest } = json
  const links = endpoints && { authorize: new URL(endpoints.authorize), token: new URL(endpoints.token) }
  const secret = (text: string | undefined) => (text === undefined ? undefined : new Secret(text))
  return given({
    ...rest,
    endpoints: links,
    clientSecret: secret(clientSecret),
    privateKey: secret(privateKey),
  })
}

export const unregisterQuery = z.strictObject({ insist: z.stringbool().optional() })

export function readUnregister(query: z.infer<typeof unregisterQuery>): said.UnregisterRequest {
  return given(query)
}

export const rotateEveryRequest = z
  .strictObject({ days: z.number().int().min(1).max(3650).nullable() })
  .openapi('RotateEveryRequest')

export const revokeCallerRequest = z.strictObject({ caller: word }).openapi('RevokeCallerRequest')

export const bindRequest = z
  .strictObject({
    caller: word,
    address: word,
    may: z.array(may).min(1),
    asks: asks.optional(),
    limits: limits.optional(),
    until: time.optional(),
  })
  .openapi('BindRequest') satisfies Whole<said.BindRequest>

export function readBind({ limits, ...json }: z.infer<typeof bindRequest>): BindRequest {
  return given({ ...json, limits: limits && given(limits), until: dated(json.until) })
}

export const askRequest = z
  .strictObject({
    address: word,
    may: z.array(may).min(1),
    reason: z.string().regex(/^[\x20-\x7e]{1,200}$/),
  })
  .openapi('AskRequest') satisfies Whole<said.AskRequest>

export const askedQuery = z.strictObject({
  wait: z.coerce.number().int().min(0).max(60).optional().openapi({ description: 'So many seconds at most' }),
})

export const decideRequest = z.strictObject({ decision }).openapi('DecideRequest')

export const narrowRequest = z
  .strictObject({
    kind: z.enum(['key', 'socket']),
    name: z.string().min(1).max(60).optional(),
    grants: z.array(grant).max(50),
    until: time.optional(),
    uids: z.array(z.number().int().min(0)).max(16).optional(),
    endsWithMe: z.boolean().optional(),
    thumbprint: z
      .string()
      .regex(/^[A-Za-z0-9_-]{43}$/)
      .optional(),
  })
  .openapi('NarrowRequest') satisfies Whole<said.NarrowRequest>

export function readNarrow({ grants, ...json }: z.infer<typeof narrowRequest>): NarrowRequest {
  return given({ ...json, grants: grants.map(readGrant), until: dated(json.until) })
}

function readGrant({ limits, ...rest }: z.infer<typeof grant>): said.Grant {
  return given({ ...rest, limits: limits && given(limits) })
}

export const auditQuery = z.strictObject({
  verb: auditVerb.optional(),
  caller: word.optional(),
  since: time.optional(),
  limit: z.coerce.number().int().min(1).max(10_000).optional(),
}) satisfies Whole<said.AuditQuery>

export function readAuditQuery(query: z.infer<typeof auditQuery>): AuditQuery {
  return given({ ...query, since: dated(query.since) })
}

export const pruneRequest = z.strictObject({ before: time }).openapi('PruneRequest')

export const unlockRequest = z.strictObject({ passphrase: z.string().optional() }).openapi('UnlockRequest')

export const exportRequest = z.strictObject({ passphrase: z.string().min(1) }).openapi('ExportRequest')

export const importRequest = z
  .strictObject({
    document: z.string().min(1),
    passphrase: z.string().min(1),
    replace: z.boolean().optional(),
  })
  .openapi('ImportRequest') satisfies Whole<said.ImportOptions & { document: string; passphrase: string }>

export function readImport({ replace }: Pick<z.infer<typeof importRequest>, 'replace'>): said.ImportOptions {
  return given({ replace })
}

export const revokeOwnerRequest = z.strictObject({ owner: word }).openapi('RevokeOwnerRequest')

export const eraseOwnerRequest = z.strictObject({ owner: word }).openapi('EraseOwnerRequest')

export const rekeyRequest = z
  .strictObject({
    source: keySource,
    passphrase: z.string().optional(),
    command: z.string().optional(),
  })
  .openapi('RekeyRequest') satisfies Whole<said.RekeyRequest>

export function readRekey(json: z.infer<typeof rekeyRequest>): RekeyRequest {
  return given({ ...json, passphrase: readSecret(json.passphrase) })
}

export function readSecret(text: string | undefined): Secret | undefined {
  return text === undefined ? undefined : new Secret(text)
}

function dated(text: string | undefined): Date | undefined {
  return text === undefined ? undefined : new Date(text)
}

function sealed(fields: Readonly<Record<string, string>>): Record<string, Secret> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, new Secret(value)]))
}

/** What was left out is absent, not undefined. */
type Given<T> = {
  [K in keyof T as undefined extends T[K] ? never : K]: T[K]
} & { [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined> }

function given<T extends object>(all: T): Given<T> {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Given<T>
}
