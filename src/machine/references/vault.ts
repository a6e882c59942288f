import { z } from 'zod'
import type { Read } from '../../model/references.ts'
import { valueIn } from './exec.ts'
import type { Surroundings } from './surroundings.ts'
import { malformed, unread } from './unread.ts'
import { type Ask, asker, type Said } from './vault-asking.ts'

const FORM = 'vault://mount/path#field'

const mountSchema = z.object({
  data: z.object({
    path: z.string(),
    options: z.object({ version: z.string().optional() }).nullish(),
  }),
})

const secretSchema = z.object({
  lease_id: z.string().default(''),
  lease_duration: z.number().min(0).default(0),
  data: z.record(z.string(), z.unknown()),
})
const versionedSchema = z.object({ data: z.record(z.string(), z.unknown()) })

/**
 * `vault://mount/path#field`, read from HashiCorp Vault over HTTP: a versioned store (KV 2), a plain one, or
 * an engine that issues on the spot. What is leased there ends with its lease; a plain store only says by
 * its lease when to look again.
 */
export async function readFromVault(reference: string, around: Surroundings): Promise<Read> {
  const { path, field } = partsOf(reference)
  const ask = await asker(reference, around)
  const place = await placeOf(reference, path, ask)
  const begun = around.now()
  const read = secretSchema.safeParse(parsed(found(reference, await ask(place.at))))
  if (!read.success) throw strange(reference)
  const { lease_id: lease, lease_duration: seconds, data } = read.data
  const fields = place.isVersioned ? versionedSchema.safeParse(data).data?.data : data
  const value = fields !== undefined && Object.hasOwn(fields, field) ? fields[field] : undefined
  if (typeof value !== 'string' && typeof value !== 'number')
    throw unread(reference, `there is no text called "${field}"`, 'check the field behind the #')
  const end = seconds > 0 ? new Date(begun.getTime() + seconds * 1000) : undefined
  const isLeased = lease !== '' && end !== undefined
  return { value: valueIn(reference, String(value)), until: isLeased ? end : null, again: end }
}

interface Parts {
  readonly path: readonly string[]
  readonly field: string
}

function partsOf(reference: string): Parts {
  const [, written = '', field = ''] = /^vault:\/\/([^#?]+)#([^#]+)$/.exec(reference) ?? []
  const path = written.split('/')
  const isStraight = path.length > 1 && path.every((part) => !['', '.', '..'].includes(part))
  if (field !== '' && isStraight) return { path, field }
  throw malformed('it does not name a mount, a path and a field', FORM)
}

interface Place {
  readonly at: readonly string[]
  readonly isVersioned: boolean
}

/** Where a mount begins and ends, and whether its store keeps versions, only Vault itself knows. */
async function placeOf(reference: string, path: readonly string[], ask: Ask): Promise<Place> {
  const said = await ask(['sys', 'internal', 'ui', 'mounts', ...path])
  // Before it knew of versions it did not know of this question either.
  if (said.status === 404) return { at: path, isVersioned: false }
  const read = mountSchema.safeParse(parsed(found(reference, said)))
  if (!read.success) throw strange(reference)
  const { path: mount, options } = read.data.data
  const parts = mount.split('/').filter(Boolean)
  if (options?.version !== '2') return { at: path, isVersioned: false }
  if (parts.some((part, at) => part !== path[at])) throw strange(reference)
  return { at: [...parts, 'data', ...path.slice(parts.length)], isVersioned: true }
}

function found(reference: string, { status, text }: Said): string {
  if (status === 200) return text
  if (status === 403) throw unread(reference, 'Vault does not let this token read it', 'vault login')
  if (status === 404) throw unread(reference, 'there is nothing in that place', 'check the path')
  if (status >= 300 && status < 400)
    throw unread(
      reference,
      'Vault sends elsewhere, and the token goes nowhere else',
      'set VAULT_ADDR to that place',
    )
  throw unread(reference, `Vault answered ${status}`, 'vault status')
}

function strange(reference: string) {
  return unread(reference, 'the answer of Vault makes no sense', 'see whether VAULT_ADDR is that of a Vault')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
