import { randomBytes } from 'node:crypto'
import type { OwnerId } from '../model/caller.ts'
import type { Secret } from '../model/secret.ts'
import { associated, KEY_LENGTH, LABELS, sealBytes } from './envelope.ts'
import {
  type ExportedRecord,
  type Head,
  headTexts,
  KNOWN,
  refuseMany,
  seatTexts,
  text,
  VERSION,
  writeDocument,
} from './export-document.ts'
import { deriveKey, freshParameters } from './kdf.ts'

export interface ExportRequest {
  readonly records: readonly ExportedRecord[]
  readonly passphrase: Secret
  readonly now: () => Date
  readonly newId: () => string
}

/** The records as one document that opens with its passphrase alone, wherever it is taken. */
export async function sealExport({ records, passphrase, now, newId }: ExportRequest): Promise<string> {
  refuseMany(records.length)
  const head: Head = {
    version: VERSION,
    id: newId(),
    createdAt: now().toISOString(),
    passphrase: freshParameters(),
  }
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

  const proof = associated(LABELS.exportedCheck, ...texts)
  const check = text(sealBytes(master.revealBytes(), proof, Buffer.from(KNOWN)))
  const owners = [...byOwner].map(([whose, theirs], index) => sealOwner(whose, theirs, index))
  master.forget()
  return writeDocument(head, { check, owners })
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
