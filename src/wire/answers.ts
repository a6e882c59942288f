import { z } from '@hono/zod-openapi'
import type * as said from '#client'
import type { Each, Whole } from './whole.ts'

const time = z.iso.datetime()
const caller = z.string().openapi({ example: 'app:reports' })

const status = z.enum({
  connected: 'connected',
  'needs-reauth': 'needs-reauth',
  failing: 'failing',
  revoked: 'revoked',
} satisfies Each<said.AccountStatus>)

const warning = z.enum({
  expiring: 'expiring',
  'missing-scopes': 'missing-scopes',
  'rotation-due': 'rotation-due',
} satisfies Each<said.AccountWarning>)

export const account = z
  .strictObject({
    id: z.string(),
    providerId: z.string(),
    userId: z.string(),
    displayName: z.string(),
    bucket: z.string(),
    subject: z.string().nullable(),
    scopes: z.array(z.string()),
    status,
    reason: z.string().nullable(),
    warnings: z.array(warning),
    missingScopes: z.array(z.string()),
    forwardOnly: z.boolean(),
    references: z.record(z.string(), z.string()).optional(),
    connectedAt: time,
    tokenExpiresAt: time.nullable(),
    diesAt: time.nullable(),
    rotateAt: time.nullable(),
    lastUsedAt: time.nullable(),
  })
  .openapi('Account') satisfies Whole<said.Account>

export const may = z.enum({
  lend: 'lend',
  forward: 'forward',
  reveal: 'reveal',
  connect: 'connect',
} satisfies Each<said.May>)

export const asks = z.enum({
  never: 'never',
  'first-use': 'first-use',
  always: 'always',
} satisfies Each<said.Asks>)

export const limits = z
  .strictObject({
    only: z
      .array(z.string().min(1).max(600))
      .max(50)
      .optional()
      .openapi({ example: ['GET /repos/*'] }),
    rate: z.strictObject({ uses: z.number().int().min(1), seconds: z.number().int().min(1) }).optional(),
    budget: z.number().int().min(1).optional(),
    hours: z.strictObject({ from: z.string(), to: z.string() }).optional(),
  })
  .openapi('Limits') satisfies Whole<said.Limits>

export const grant = z
  .strictObject({ address: z.string().min(1).max(200), may: z.array(may).min(1), limits: limits.optional() })
  .openapi('Grant') satisfies Whole<said.Grant>

export const valetKey = z
  .strictObject({
    id: z.string(),
    kind: z.enum({ key: 'key', socket: 'socket' } satisfies Each<said.ValetKey['kind']>),
    name: z.string(),
    parent: caller,
    grants: z.array(grant),
    socket: z.string().nullable(),
    thumbprint: z.string().nullable(),
    createdAt: time,
    until: time.nullable(),
  })
  .openapi('ValetKey') satisfies Whole<said.ValetKey>

export const narrowed = z
  .strictObject({
    key: valetKey,
    secret: z.string().nullable().openapi({ description: 'Shown once, and never again' }),
  })
  .openapi('Narrowed') satisfies Whole<said.Narrowed>

export const binding = z
  .strictObject({
    id: z.string(),
    caller,
    accountId: z.string(),
    address: z.string(),
    may: z.array(may),
    asks,
    limits: limits.nullable(),
    createdAt: time,
    until: time.nullable(),
  })
  .openapi('Binding') satisfies Whole<said.Binding>

export const lease = z
  .strictObject({
    id: z.string(),
    accountId: z.string(),
    address: z.string(),
    caller,
    verb: z.enum({ lend: 'lend', forward: 'forward', reveal: 'reveal' } satisfies Each<said.LeaseVerb>),
    openedAt: time,
    until: time.nullable(),
    endsBy: z.enum({
      expiry: 'expiry',
      revocation: 'revocation',
      forward: 'forward',
      ended: 'ended',
    } satisfies Each<said.LeaseEnd>),
    endedAt: time.nullable(),
    lastUsedAt: time,
    count: z.number().int(),
    purpose: z.string().nullable(),
    scopes: z.array(z.string()),
    audience: z.string().nullable(),
    repositories: z.array(z.string()),
  })
  .openapi('Lease') satisfies Whole<said.Lease>

export const lent = z
  .strictObject({
    lease,
    token: z.string(),
    fields: z.record(z.string(), z.string()),
    tokenType: z.string(),
    expiresAt: time.nullable(),
    scopes: z.array(z.string()),
  })
  .openapi('Lent') satisfies Whole<said.Lent>

export const receiptLine = z
  .strictObject({
    what: z.string(),
    state: z.enum({ died: 'died', queued: 'queued', alive: 'alive' } satisfies Each<said.Fate>),
    how: z.string(),
  })
  .openapi('ReceiptLine') satisfies Whole<said.ReceiptLine>

export const endedLease = z
  .strictObject({ lease, lines: z.array(receiptLine) })
  .openapi('EndedLease') satisfies Whole<said.EndedLease>

export const usage = z
  .strictObject({
    accountId: z.string(),
    address: z.string(),
    caller,
    day: z.iso.date().openapi({ description: 'By UTC' }),
    lends: z.number().int(),
    forwards: z.number().int(),
    reveals: z.number().int(),
  })
  .openapi('Usage') satisfies Whole<said.Usage>

const livesOn = z
  .array(z.strictObject({ address: z.string(), caller, until: time.nullable() }))
  .openapi('LivesOn') satisfies z.ZodType<readonly said.LivesOn[]>

export const receipt = z
  .strictObject({
    accountId: z.string(),
    address: z.string(),
    at: time,
    lines: z.array(receiptLine),
    livesOn,
    leasesEnded: z.number().int(),
    bindingsEnded: z.number().int(),
  })
  .openapi('Receipt') satisfies Whole<said.Receipt>

export const callerReceipt = z
  .strictObject({
    caller,
    at: time,
    livesOn,
    leasesEnded: z.number().int(),
    bindingsEnded: z.number().int(),
  })
  .openapi('CallerReceipt') satisfies Whole<said.CallerReceipt>

export const pending = z
  .strictObject({
    id: z.string(),
    accountId: z.string(),
    address: z.string(),
    since: time,
    tries: z.number().int(),
    nextTryAt: time,
    until: time,
    reason: z.string().nullable(),
  })
  .openapi('Pending') satisfies Whole<said.Pending>

export const registration = z
  .strictObject({
    id: z.string(),
    provider: z.string(),
    issuer: z.string(),
    clientId: z.string(),
    how: z.enum(['none', 'metadata-document', 'dynamic', 'shipped', 'yours']),
    createdAt: time,
    trouble: z.string().nullable(),
  })
  .openapi('Registration') satisfies Whole<said.Registration>

export const registered = registration
  .extend({ checked: z.boolean() })
  .openapi('Registered') satisfies Whole<said.Registered>

const who = z
  .strictObject({
    door: z.string(),
    executable: z.string().nullable(),
    chain: z.array(z.string()),
    uid: z.number().int().nullable(),
    pid: z.number().int().nullable(),
  })
  .openapi('Who') satisfies Whole<said.Who>

export const decision = z.enum({
  once: 'once',
  'ten-minutes': 'ten-minutes',
  always: 'always',
  no: 'no',
} satisfies Each<said.Decision>)

export const ask = z
  .strictObject({
    id: z.string(),
    caller,
    who,
    address: z.string(),
    may: z.array(may),
    reason: z.string(),
    state: z.enum({
      pending: 'pending',
      allowed: 'allowed',
      refused: 'refused',
      lapsed: 'lapsed',
    } satisfies Each<said.Ask['state']>),
    decision: decision.nullable(),
    askedAt: time,
    until: time.nullable(),
  })
  .openapi('Ask') satisfies Whole<said.Ask>

const accountEvent = z
  .strictObject({
    id: z.string(),
    name: z.enum({
      connected: 'connected',
      'needs-reauth': 'needs-reauth',
      expiring: 'expiring',
      'rotation-due': 'rotation-due',
      revoked: 'revoked',
      failing: 'failing',
    } satisfies Each<said.EventName>),
    at: time,
    account,
  })
  .openapi('AccountEvent') satisfies Whole<said.AccountEvent>

const askEvent = z
  .strictObject({
    id: z.string(),
    name: z.enum({ asked: 'asked', decided: 'decided' } satisfies Each<said.AskEvent['name']>),
    at: time,
    ask,
  })
  .openapi('AskEvent') satisfies Whole<said.AskEvent>

export const event = z.union([accountEvent, askEvent]).openapi('Event')
