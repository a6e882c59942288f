import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { THE_PERSON } from '../model/caller.ts'
import { canonical, genesis, hashOf, parseAnchor, printAnchor } from './layout.ts'

// Written out by hand from the words at the top of the layout, so that the format stays what it is.

describe('the bytes of the record', () => {
  it('[security 20.2] hashes an entry as the layout says', () => {
    const row = { seq: 258, owner: THE_PERSON, at: 1, keyId: 'k', sealed: Uint8Array.of(7, 8) }
    const parts = [
      `00000020${'ab'.repeat(32)}`,
      '000000080000000000000102',
      `0000000c${Buffer.from('person:owner').toString('hex')}`,
      '000000080000000000000001',
      '000000016b',
      '000000020708',
    ]
    const expected = createHash('sha256')
      .update(Buffer.from(parts.join(''), 'hex'))
      .digest('hex')
    const hash = hashOf(Buffer.from('ab'.repeat(32), 'hex'), row)
    expect(Buffer.from(hash).toString('hex')).toBe(expected)
  })

  it('begins another chain in every vault', () => {
    const text = '\0\0\0\x16valetkey audit chain 1\0\0\0\x02v1'
    expect(genesis('v1')).toEqual({ seq: 0, hash: createHash('sha256').update(text).digest() })
    expect(genesis('v2').hash).not.toEqual(genesis('v1').hash)
  })

  it('[security 20.2] writes an entry in one way only', () => {
    const proof = { caller: 'app:agent', proof: 'test' } as const
    const one = canonical({
      seq: 1,
      at: 2,
      owner: THE_PERSON,
      ...proof,
      verb: 'lend',
      target: 't',
      outcome: 'done',
    })
    const other = canonical({
      outcome: 'done',
      target: 't',
      verb: 'lend',
      ...proof,
      owner: THE_PERSON,
      at: 2,
      seq: 1,
    })
    expect(one).toBe(
      '{"at":2,"caller":"app:agent","outcome":"done","owner":"person:owner","proof":"test","seq":1,"target":"t","verb":"lend"}',
    )
    expect(other).toBe(one)
  })

  it('reads the anchor that it wrote, and nothing shorter or of another version', () => {
    const link = { seq: 258, hash: new Uint8Array(32).fill(9) }
    const bytes = printAnchor(link, Uint8Array.of(1, 2, 3))
    expect(Buffer.from(bytes).toString('hex')).toBe(`010000000000000102${'09'.repeat(32)}010203`)
    const parsed = parseAnchor(bytes)
    expect(parsed?.link.seq).toBe(258)
    expect(Uint8Array.from(parsed?.link.hash ?? [])).toEqual(link.hash)
    expect(Uint8Array.from(parsed?.mac ?? [])).toEqual(Uint8Array.of(1, 2, 3))
    expect(parseAnchor(bytes.subarray(0, 41))).toBeUndefined()
    expect(parseAnchor(Uint8Array.of(2, ...bytes.subarray(1)))).toBeUndefined()
    expect(parseAnchor(new Uint8Array())).toBeUndefined()
  })
})
