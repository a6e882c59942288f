import { createCipheriv, createDecipheriv, type KeyObject, randomFillSync } from 'node:crypto'
import { ValetkeyError } from '#client'
import type { Place } from '../model/vault.ts'

// A sealed value is: version (1) | nonce (12) | tag (16) | ciphertext, by AES-256-GCM. The nonce is
// random and never used again; the tag is always whole.
//
// Its associated data name the place it belongs to, so that it opens in no other. They are a list of
// texts, written as: number of texts (4, big-endian), then for each its length in bytes (4,
// big-endian) and its UTF-8. Numbers are written in decimal. The first text is a label that keeps
// uses apart, the second the version of the format:
//
//   value     label, version, vault id, owner, record, field, key id, generation [, about]
//   data key  label, version, vault id, owner, key id, master key id
//   check     label, version, vault id, master key id, kind of key source, what it remembers
//
// docs/format.md says the same for a reader who has only that.

export const FORMAT_VERSION = 1
export const KEY_LENGTH = 32
const NONCE_LENGTH = 12
const TAG_LENGTH = 16
const HEAD_LENGTH = 1 + NONCE_LENGTH + TAG_LENGTH
const VERSION = Uint8Array.of(FORMAT_VERSION)

export const LABELS = {
  value: 'valetkey value',
  dataKey: 'valetkey data key',
  check: 'valetkey check',
  mac: 'valetkey mac',
  exported: 'valetkey export',
  exportedKey: 'valetkey export key',
  exportedCheck: 'valetkey export check',
} as const

type Label = (typeof LABELS)[keyof typeof LABELS]

/** One text for everything that may be wrong, so that nobody learns more by trying. */
export function tampered(cause?: unknown): ValetkeyError {
  return new ValetkeyError('tampered', 'something in the vault was changed from outside', {
    hint: 'put back a good copy of the vault, or connect the account again',
    cause,
  })
}

function lengthOf(text: string): number {
  if (!text.isWellFormed()) throw new ValetkeyError('invalid-request', 'a name is not well-formed text')
  return Buffer.byteLength(text, 'utf8')
}

/** Associated data: no two lists of texts are written the same. */
export function associated(label: Label, ...texts: readonly string[]): Uint8Array {
  const fields = [label, String(FORMAT_VERSION), ...texts]
  let size = 4
  for (const field of fields) size += 4 + lengthOf(field)
  const bytes = Buffer.allocUnsafe(size)
  let at = bytes.writeUInt32BE(fields.length)
  for (const field of fields) {
    const length = bytes.write(field, at + 4, 'utf8')
    at = bytes.writeUInt32BE(length, at) + length
  }
  return bytes
}

export function placeOf(vaultId: string, keyId: string, place: Place): Uint8Array {
  const { owner, record, field, generation, about } = place
  const texts = [vaultId, owner, record, field, keyId, String(generation)]
  return associated(LABELS.value, ...texts, ...(about === undefined ? [] : [about]))
}

/** Randomness is drawn for many at once; each of them is used for one value. */
const drawn = Buffer.alloc(256 * NONCE_LENGTH)
let used = drawn.length

function freshNonce(): Uint8Array {
  if (used === drawn.length) {
    randomFillSync(drawn)
    used = 0
  }
  used += NONCE_LENGTH
  return drawn.subarray(used - NONCE_LENGTH, used)
}

export function sealBytes(key: Uint8Array | KeyObject, about: Uint8Array, plain: Uint8Array): Uint8Array {
  const nonce = freshNonce()
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_LENGTH })
  cipher.setAAD(about)
  const ciphertext = cipher.update(plain)
  const rest = cipher.final()
  return Buffer.concat([VERSION, nonce, cipher.getAuthTag(), ciphertext, rest])
}

/** Throws `tampered` for anything but what was sealed with this key and these associated data. */
export function openBytes(key: Uint8Array | KeyObject, about: Uint8Array, sealed: Uint8Array): Uint8Array {
  if (sealed.length < HEAD_LENGTH || sealed[0] !== FORMAT_VERSION) throw tampered()
  const nonce = sealed.subarray(1, 1 + NONCE_LENGTH)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_LENGTH })
  decipher.setAAD(about)
  decipher.setAuthTag(sealed.subarray(1 + NONCE_LENGTH, HEAD_LENGTH))
  const plain = decipher.update(sealed.subarray(HEAD_LENGTH))
  try {
    decipher.final()
    return plain
  } catch (error) {
    plain.fill(0)
    throw tampered(error)
  }
}
