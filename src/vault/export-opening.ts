import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { OwnerId } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import { associated, LABELS, openBytes } from './envelope.ts'
import {
  bytes,
  type Document,
  type ExportedRecord,
  fromText,
  headTexts,
  readDocument,
  refuseMany,
  seatTexts,
} from './export-document.ts'
import { deriveKey } from './kdf.ts'

export interface OpenedExport {
  readonly version: Document['version']
  readonly id: string
  readonly createdAt: Date
  readonly records: readonly ExportedRecord[]
}

const recordsSchema = z.array(
  z.strictObject({
    record: z.string(),
    about: z.string(),
    fields: z.record(z.string(), bytes),
    plain: z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
  }),
)

/** All of it, or nothing: `tampered` when any part was altered. */
export async function openExport(document: string, passphrase: Secret): Promise<OpenedExport> {
  const read = readDocument(document)
  const texts = headTexts(read, read.owners.length)
  const master = await deriveKey(passphrase, read.passphrase)
  try {
    judgePassphrase(master, read, texts)
    const records = read.owners.flatMap((one, index) => openOwner(master, texts, one, index))
    refuseMany(records.length)
    return { version: read.version, id: read.id, createdAt: new Date(read.createdAt), records }
  } finally {
    master.forget()
  }
}

function openOwner(
  master: Secret,
  texts: readonly string[],
  { owner, keyId, wrappedKey, sealed }: Document['owners'][number],
  index: number,
): readonly ExportedRecord[] {
  const seat = [...texts, ...seatTexts({ owner, keyId, index })]
  try {
    const wrapping = associated(LABELS.exportedKey, ...seat)
    const key = openBytes(master.revealBytes(), wrapping, fromText(wrappedKey))
    const plain = openBytes(key, associated(LABELS.exported, ...seat), fromText(sealed))
    key.fill(0)
    const records = readRecords(owner, plain)
    plain.fill(0)
    return records
  } catch (error) {
    throw changed(error)
  }
}

function changed(cause: unknown): ValetkeyError {
  return new ValetkeyError('tampered', 'the export was changed since it was made', {
    hint: 'use the whole file, just as it was exported',
    cause,
  })
}

function judgePassphrase(master: Secret, { check }: Document, texts: readonly string[]): void {
  try {
    openBytes(master.revealBytes(), associated(LABELS.exportedCheck, ...texts), fromText(check))
  } catch (error) {
    throw new ValetkeyError('wrong-key', 'this passphrase does not open the export, or it was changed', {
      hint: 'try the passphrase of the export, which is not that of the vault',
      cause: error,
    })
  }
}

function readRecords(whose: OwnerId, plain: Uint8Array): readonly ExportedRecord[] {
  return recordsSchema.parse(JSON.parse(Buffer.from(plain).toString('utf8'))).map((read) => ({
    ...read,
    owner: whose,
    fields: Object.fromEntries(
      Object.entries(read.fields).map(([name, value]) => [name, new Secret(fromText(value))]),
    ),
  }))
}
