import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { OwnerId } from '../model/caller.ts'
import type { Secret } from '../model/secret.ts'
import { kdfSchema } from './kdf.ts'

// An export is a JSON document: how its passphrase becomes a key, that key's check, and for every
// owner a fresh data key wrapped by it and all of the owner's records sealed as one value. What the
// document says in the clear stands in the associated data of every sealed part of it, and so does
// how many owners there are and which of them this is: nothing can be altered, added, left out or
// moved. In the first version the version itself did not stand there. docs/format.md has it in full.

const FORMAT = 'valetkey-export'
export const VERSION = 2
const OLDER = 1
export const KNOWN = 'valetkey'

const MIB = 1024 * 1024
export const MOST_BYTES = 64 * MIB
export const MOST_RECORDS = 100_000

export interface ExportedRecord {
  readonly owner: OwnerId
  readonly record: string
  readonly about: string
  readonly fields: Readonly<Record<string, Secret>>
  readonly plain: Readonly<Record<string, string | number | null>>
}

export const text = (value: Uint8Array): string => Buffer.from(value).toString('base64url')
export const fromText = (value: string): Uint8Array => Buffer.from(value, 'base64url')

/** One way of writing the same bytes, so that not even a meaningless digit can be changed. */
export const bytes = z.string().refine((value) => text(fromText(value)) === value)
const owner = z.custom<OwnerId>(
  (text) => typeof text === 'string' && /^(installation$|(person|group):.)/.test(text),
)

const documentSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.union([z.literal(OLDER), z.literal(VERSION)]),
  id: z.string().min(1),
  createdAt: z.iso.datetime(),
  passphrase: kdfSchema,
  check: bytes,
  owners: z.array(z.strictObject({ owner, keyId: z.string().min(1), wrappedKey: bytes, sealed: bytes })),
})

export type Document = z.infer<typeof documentSchema>
export type Head = Pick<Document, 'version' | 'id' | 'createdAt' | 'passphrase'>

export function writeDocument(head: Head, parts: Pick<Document, 'check' | 'owners'>): string {
  const document: Document = { format: FORMAT, ...head, ...parts }
  const written = `${JSON.stringify(document, null, 2)}\n`
  refuseLarge(written)
  return written
}

/** What the document says in the clear, by its form alone. */
export function readDocument(document: string): Document {
  refuseLarge(document)
  const read = parsed(document)
  refuseNewer(read)
  const { data, error } = documentSchema.safeParse(read)
  if (data === undefined) throw noExport(error)
  return data
}

export function refuseMany(records: number): void {
  if (records > MOST_RECORDS)
    throw new ValetkeyError('too-large', `an export has ${MOST_RECORDS} accounts at most`)
}

function refuseLarge(document: string): void {
  if (Buffer.byteLength(document) > MOST_BYTES)
    throw new ValetkeyError('too-large', `an export is ${MOST_BYTES / MIB} MiB large at most`)
}

function parsed(document: string): unknown {
  try {
    return JSON.parse(document)
  } catch (error) {
    throw noExport(error)
  }
}

function refuseNewer(read: unknown): void {
  const { format, version } = (read ?? {}) as Partial<Record<string, unknown>>
  if (format !== FORMAT || typeof version !== 'number' || version <= VERSION) return
  throw new ValetkeyError('newer-schema', 'this export was written by a newer valetkey', {
    hint: 'install that version, or a later one',
  })
}

function noExport(cause: unknown): ValetkeyError {
  return new ValetkeyError('invalid-request', 'this is no export of valetkey, or it is damaged', {
    hint: 'use the whole file, just as it was exported',
    cause,
  })
}

/** What every sealed part of the document vouches for, besides its own place. */
export function headTexts({ version, id, createdAt, passphrase }: Head, owners: number): readonly string[] {
  const { kdf, memory, passes, parallelism, salt } = passphrase
  const first = version === OLDER ? [] : [String(version)]
  return [
    ...first,
    ...[id, createdAt, kdf, String(memory), String(passes), String(parallelism), salt, String(owners)],
  ]
}

interface Seat {
  readonly owner: string
  readonly keyId: string
  readonly index: number
}

export function seatTexts({ owner: whose, keyId, index }: Seat): readonly string[] {
  return [whose, keyId, String(index)]
}
