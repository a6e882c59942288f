import { createCipheriv, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Place } from '../model/vault.ts'
import { canary } from '../testing/canary.ts'
import { associated, LABELS, openBytes, placeOf, sealBytes } from './envelope.ts'

const key = randomBytes(32)
const place: Place = {
  owner: 'person:ada',
  record: 'account-1',
  field: 'worn',
  generation: 3,
  about: 'api.openai.com',
}
const about = placeOf('vault', 'key-1', place)
const plain = Buffer.from(canary('envelope'))

const opening =
  (sealed: Uint8Array, where = about, with_ = key) =>
  () =>
    openBytes(with_, where, sealed)
const tampered = expect.objectContaining({ code: 'tampered' })

describe('a sealed value', () => {
  it('[security 19.1] is version, nonce, tag and ciphertext, and opens again', () => {
    const sealed = sealBytes(key, about, plain)
    expect(sealed[0]).toBe(1)
    expect(sealed.length).toBe(1 + 12 + 16 + plain.length)
    expect(Buffer.from(sealed).includes(plain)).toBe(false)
    expect(Buffer.from(openBytes(key, about, sealed))).toEqual(plain)
    expect(openBytes(key, about, sealBytes(key, about, new Uint8Array()))).toHaveLength(0)
  })

  it('[security 19.1] has a nonce of its own every time', () => {
    const nonces = Array.from({ length: 1_000 }, () =>
      Buffer.from(sealBytes(key, about, plain).subarray(1, 13)).toString('hex'),
    )
    expect(new Set(nonces).size).toBe(1_000)
  })

  it('[security 19.1] opens with a whole tag only', () => {
    const nonce = randomBytes(12)
    for (const authTagLength of [4, 8, 12, 15]) {
      const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength })
      cipher.setAAD(about)
      const ciphertext = Buffer.concat([cipher.update(plain), cipher.final()])
      const short = Buffer.concat([Uint8Array.of(1), nonce, cipher.getAuthTag(), ciphertext])
      expect(opening(short)).toThrow(tampered)
    }
    for (let length = 0; length < 29; length += 1)
      expect(opening(sealBytes(key, about, plain).subarray(0, length))).toThrow(tampered)
  })

  it('[security 19.2] opens in its own place only', () => {
    const sealed = sealBytes(key, about, plain)
    const elsewhere: [string, string, Place][] = [
      ['other vault', 'key-1', place],
      ['vault', 'key-2', place],
      ['vault', 'key-1', { ...place, owner: 'person:bob' }],
      ['vault', 'key-1', { ...place, owner: 'group:ada' }],
      ['vault', 'key-1', { ...place, record: 'account-2' }],
      ['vault', 'key-1', { ...place, field: 'kept' }],
      ['vault', 'key-1', { ...place, generation: 2 }],
      ['vault', 'key-1', { ...place, about: 'api.evil.example' }],
      ['vault', 'key-1', { ...place, about: '' }],
      ['vault', 'key-1', { owner: place.owner, record: 'account-1', field: 'worn', generation: 3 }],
    ]
    for (const [vault, keyId, where] of elsewhere)
      expect(opening(sealed, placeOf(vault, keyId, where))).toThrow(tampered)
    expect(opening(sealed, about, randomBytes(32))).toThrow(tampered)
  })

  it('[security 19.2] has a place that is written in one way only', () => {
    const lists = [[], [''], ['', ''], ['a', 'b'], ['ab', ''], ['', 'ab'], ['a\0b'], ['a', 'b', '']]
    const written = lists.map((texts) => Buffer.from(associated(LABELS.value, ...texts)).toString('hex'))
    expect(new Set(written).size).toBe(lists.length)
    const labels = Object.values(LABELS).map((label) => Buffer.from(associated(label)).toString('hex'))
    expect(new Set(labels).size).toBe(labels.length)
    expect(() => associated(LABELS.value, '\ud800')).toThrow(
      expect.objectContaining({ code: 'invalid-request' }),
    )
  })
})
