import { KEY_LENGTH } from '../envelope.ts'

const HEX = /^[0-9a-f]{64}$/i
const BASE64URL = /^[A-Za-z0-9_-]{43}=?$/

/** The bytes of a key that was written as text; undefined for what is no key. */
export function keyFrom(text: string): Buffer | undefined {
  const written = text.trim()
  if (HEX.test(written)) return Buffer.from(written, 'hex')
  if (!BASE64URL.test(written)) return undefined
  const key = Buffer.from(written, 'base64url')
  return key.length === KEY_LENGTH ? key : undefined
}
