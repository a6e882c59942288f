import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { OwnerId } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import { associated, KEY_LENGTH, LABELS, openBytes, sealBytes, tampered } from './envelope.ts'
import { deriveKey, freshParameters, kdfSchema } from './kdf.ts'

// An export is a JSON document: how its passphrase becomes a key, that key's check, and for every
// owner a fresh data key wrapped by it and all of the owner's records sealed as one value. What the
// document says in the clear stands in the associated data of every sealed part of it, and so does
// how many owners there are and which of them this is: nothing can be altered, added, left out or
// moved. docs/format.md has it in full.

const FORMAT = 'valetkey-export'
const VERSION = 1
const KNOWN = 'valetkey'

export interface ExportedRecord {
  readonly owner: OwnerId
  readonly record: string
  readonly about: string
  readonly fields: Readonly<Record<string, Secret>>
  readonly plain: Readonly<Record<string, string | number | null>>
}

export interface ExportRequest {
  readonly records: readonly ExportedRecord[]
  readonly passphrase: Secret
  readonly now: () => Date
  readonly newId: () => string
}

export interface OpenedExport {
  readonly id: string
  readonly createdAt: Date
  readonly records: readonly ExportedRecord[]
}

const text = (value: Uint8Array): string => Buffer.from(value).toString('base64url')
const fromText = (value: string): Uint8Array => Buffer.from(value, 'base64url')

/** One way of writing the same bytes, so that not even a meaningless digit can be changed. */
const bytes = z.string().refine((value) => text(fromText(value)) === value)
const owner = z.custom<OwnerId>(
  (text) => typeof text === 'string' && /^(installation$|(person|group):.)/.test(text),
)

const documentSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  id: z.string().min(1),
  createdAt: z.iso.datetime(),
  passphrase: kdfSchema,
  check: bytes,
  owners: z.array(z.strictObject({ owner, keyId: z.string().min(1), wrappedKey: bytes, sealed: bytes })),
})

const recordsSchema = z.array(
  z.strictObject({
    record: z.string(),
    about: z.string(),
    fields: z.record(z.string(), bytes),
    plain: z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
  }),
)

type Document = z.infer<typeof documentSchema>
type Head = Pick<Document, 'id' | 'createdAt' | 'passphrase'>

/** What every sealed part of the document vouches for, besides its own place. */
function headTexts({ id, createdAt, passphrase }: Head, owners: number): string[] {
  const { kdf, memory, passes, parallelism, salt } = passphrase
  return [id, createdAt, kdf, String(memory), String(passes), String(parallelism), salt, String(owners)]
}

interface Seat {
  readonly owner: string
  readonly keyId: string
  readonly index: number
}

function seatTexts({ owner: whose, keyId, index }: Seat): string[] {
  return [whose, keyId, String(index)]
}

function plainRecords(records: readonly ExportedRecord[]): Buffer {
  return Buffer.from(
    JSON.stringify(
      records.map(({ record, about, fields, plain }) => ({
        record,
        about,
        fields: Object.fromEntries(
          Object.entries(fields).map(([name, secret]) => [name, text(secret.revealBytes())]),
        ),
        plain,
      })),
    ),
  )
}

/** The records as one document that opens with its passphrase alone, wherever it is taken. */
export async function sealExport({ records, passphrase, now, newId }: ExportRequest): Promise<string> {
  const head: Head = { id: newId(), createdAt: now().toISOString(), passphrase: freshParameters() }
  const master = await deriveKey(passphrase, head.passphrase)
  const byOwner = Map.groupBy(records, (record) => record.owner)
  const texts = headTexts(head, byOwner.size)

  function sealOwner(whose: OwnerId, theirs: readonly ExportedRecord[], index: number) {
    const keyId = newId()
    const seat = [...texts, ...seatTexts({ owner: whose, keyId, index })]
    const key = randomBytes(KEY_LENGTH)
    const plain = plainRecords(theirs)
    const sealed = text(sealBytes(key, associated(LABELS.exported, ...seat), plain))
    const wrapped = sealBytes(master.revealBytes(), associated(LABELS.exportedKey, ...seat), key)
    key.fill(0)
    plain.fill(0)
    return { owner: whose, keyId, wrappedKey: text(wrapped), sealed }
  }

  const check = sealBytes(
    master.revealBytes(),
    associated(LABELS.exportedCheck, ...texts),
    Buffer.from(KNOWN),
  )
  const owners = [...byOwner].map(([whose, theirs], index) => sealOwner(whose, theirs, index))
  master.forget()
  const made: Document = { format: FORMAT, version: VERSION, ...head, check: text(check), owners }
  return `${JSON.stringify(made, null, 2)}\n`
}

function noExport(cause: unknown): ValetkeyError {
  return new ValetkeyError('invalid-request', 'this is no export of valetkey, or it is damaged', {
    hint: 'use the whole file, just as it was exported',
    cause,
  })
}

function parsed(document: string): Document {
  try {
    return documentSchema.parse(JSON.parse(document))
  } catch (error) {
    throw noExport(error)
  }
}

function judgePassphrase(master: Secret, document: Document, texts: readonly string[]): void {
  try {
    openBytes(master.revealBytes(), associated(LABELS.exportedCheck, ...texts), fromText(document.check))
  } catch (error) {
    throw new ValetkeyError('wrong-key', 'this passphrase does not open the export, or it was changed', {
      hint: 'try the passphrase of the export, which is not that of the vault',
      cause: error,
    })
  }
}

function readRecords(whose: OwnerId, plain: Uint8Array): ExportedRecord[] {
  try {
    return recordsSchema.parse(JSON.parse(Buffer.from(plain).toString('utf8'))).map((read) => ({
      ...read,
      owner: whose,
      fields: Object.fromEntries(
        Object.entries(read.fields).map(([name, value]) => [name, new Secret(fromText(value))]),
      ),
    }))
  } catch (error) {
    throw tampered(error)
  }
}

/** All of it, or nothing: `tampered` when any part was altered. */
export async function openExport(document: string, passphrase: Secret): Promise<OpenedExport> {
  const read = parsed(document)
  const texts = headTexts(read, read.owners.length)
  const master = await deriveKey(passphrase, read.passphrase)
  try {
    judgePassphrase(master, read, texts)
    const records = read.owners.flatMap(({ owner: whose, keyId, wrappedKey, sealed }, index) => {
      const seat = [...texts, ...seatTexts({ owner: whose, keyId, index })]
      const wrapping = associated(LABELS.exportedKey, ...seat)
      const key = openBytes(master.revealBytes(), wrapping, fromText(wrappedKey))
      const plain = openBytes(key, associated(LABELS.exported, ...seat), fromText(sealed))
      key.fill(0)
      const found = readRecords(whose, plain)
      plain.fill(0)
      return found
    })
    return { id: read.id, createdAt: new Date(read.createdAt), records }
  } finally {
    master.forget()
  }
}
