import { z } from '@hono/zod-openapi'
import type * as said from '#client'
import type { Each, Whole } from './whole.ts'

const time = z.iso.datetime()

export const auditVerb = z.enum({
  connect: 'connect',
  lend: 'lend',
  forward: 'forward',
  reveal: 'reveal',
  refresh: 'refresh',
  rotate: 'rotate',
  revoke: 'revoke',
  'revoke-everything': 'revoke-everything',
  bind: 'bind',
  unbind: 'unbind',
  narrow: 'narrow',
  'end-key': 'end-key',
  ask: 'ask',
  decide: 'decide',
  'add-provider': 'add-provider',
  'end-lease': 'end-lease',
  register: 'register',
  unregister: 'unregister',
  unlock: 'unlock',
  lock: 'lock',
  rekey: 'rekey',
  'erase-owner': 'erase-owner',
  export: 'export',
  import: 'import',
  'accept-restore': 'accept-restore',
  'prune-audit': 'prune-audit',
  'read-audit': 'read-audit',
  'verify-audit': 'verify-audit',
} satisfies Each<said.AuditVerb>)

export const auditEntry = z
  .strictObject({
    seq: z.number().int(),
    at: time,
    owner: z.string(),
    caller: z.string(),
    proof: z.string(),
    verb: auditVerb,
    target: z.string(),
    outcome: z.enum({
      opened: 'opened',
      done: 'done',
      failed: 'failed',
      refused: 'refused',
    } satisfies Each<said.AuditOutcome>),
    opened: z.number().int().optional(),
    code: z.string().optional(),
    detail: z.string().optional(),
  })
  .openapi('AuditEntry') satisfies Whole<said.AuditEntry>

export const auditVerdict = z
  .strictObject({
    ok: z.boolean(),
    entries: z.number().int(),
    head: z.number().int(),
    checkedAt: time,
    problems: z.array(z.string()),
  })
  .openapi('AuditVerdict') satisfies Whole<said.AuditVerdict>

export const keySource = z.enum({
  passphrase: 'passphrase',
  file: 'file',
  environment: 'environment',
  command: 'command',
} satisfies Each<said.KeySourceKind>)

export const vaultStatus = z
  .strictObject({
    id: z.string(),
    locked: z.boolean(),
    keySource,
    engine: z.string(),
    home: z.string(),
    socket: z.string(),
    pid: z.number().int(),
    version: z.string(),
    startedAt: time,
    restored: z.boolean(),
    accounts: z.number().int().nullable(),
  })
  .openapi('VaultStatus') satisfies Whole<said.VaultStatus>

/** The vault's accounts, sealed under a passphrase of their own. */
export const exported = z.strictObject({ document: z.string() }).openapi('Export')

/** What became of each account of an export, in its order. */
export const imported = z
  .array(
    z.strictObject({
      address: z.string(),
      outcome: z.enum({
        imported: 'imported',
        replaced: 'replaced',
        kept: 'kept',
        refused: 'refused',
      } satisfies Each<said.ImportOutcome>),
      why: z.string().nullable(),
      renews: z.boolean(),
    }),
  )
  .openapi('Imported') satisfies z.ZodType<readonly said.Imported[]>
