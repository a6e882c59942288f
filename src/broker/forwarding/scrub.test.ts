import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canary } from '../../testing/canary.ts'
import { scrubber, starred, starredTexts } from './scrub.ts'
import { spellingsOf } from './spellings.ts'

const secret = `sk-${canary('scrub')}/+"&=`
const PAGE: Readonly<Record<string, string>> = { '&': '&amp;', '"': '&quot;' }
const json = (which: RegExp, spell = (code: string) => code) =>
  secret.replaceAll(which, (one) => `\\u${spell(one.charCodeAt(0).toString(16).padStart(4, '0'))}`)
const spellings = spellingsOf([secret])

/** What comes of bytes that arrive in pieces of these lengths. */
function inPieces(bytes: Buffer, lengths: readonly number[]): Buffer {
  const scrub = scrubber(spellings)
  const out: Buffer[] = []
  for (let at = 0, nth = 0; at < bytes.length; nth += 1) {
    const length = lengths[nth % lengths.length] ?? 1
    out.push(Buffer.from(scrub.feed(bytes.subarray(at, at + length))))
    at += length
  }
  out.push(scrub.end())
  return Buffer.concat(out)
}

describe('a secret', () => {
  const ways: readonly (readonly [string, string])[] = [
    ['as it is', secret],
    ['in JSON', JSON.stringify(secret)],
    ['in JSON for pages', JSON.stringify(secret).replaceAll('&', '\\u0026')],
    ['in a link', encodeURIComponent(secret)],
    [
      'in a link with small letters',
      encodeURIComponent(secret).replaceAll(/%../g, (code) => code.toLowerCase()),
    ],
    ['in JSON as .NET writes it', json(/[+&"]/g, (code) => code.toUpperCase())],
    [
      'in JSON as Gson writes it',
      JSON.stringify(secret).replaceAll('&', '\\u0026').replaceAll('=', '\\u003d'),
    ],
    ['in JSON of escapes alone', json(/./g)],
    ['in a page', secret.replaceAll('&', '&amp;').replaceAll('"', '&quot;')],
    ['in a page by numbers', secret.replaceAll('&', '&#38;').replaceAll('"', '&#34;')],
    [
      'in a page as .NET writes it',
      secret.replace(/[&"]/g, (one) => PAGE[one] ?? '').replaceAll('+', '&#x2B;'),
    ],
    [
      'in a page as Handlebars writes it',
      secret
        .replace(/[&"]/g, (one) => PAGE[one] ?? '')
        .replaceAll('=', '&#x3D;')
        .replaceAll('/', '&#x2F;'),
    ],
    ['in hex', Buffer.from(secret).toString('hex')],
    ['in large hex', Buffer.from(secret).toString('hex').toUpperCase()],
    ...[0, 1, 2, 3, 4].flatMap((before) =>
      (['base64', 'base64url'] as const).map(
        (coding) =>
          [
            `in ${coding} after ${before}`,
            Buffer.from('x'.repeat(before) + secret).toString(coding),
          ] as const,
      ),
    ),
  ]

  it.each(ways)('[security 20.1] is found %s, wherever it is cut', (_, text) => {
    const bytes = Buffer.from(`before ${text} after`)
    const whole = inPieces(bytes, [bytes.length])
    expect(whole.length).toBe(bytes.length)
    expect(whole.toString()).toMatch(/^before .{0,6}\*{20,}.{0,8} after$/)
    for (let length = 1; length < 20; length += 1) expect(inPieces(bytes, [length])).toEqual(whole)
  })

  it('[security 20.1] is found in the other charsets that a provider may be asked for', () => {
    const little = Buffer.from(`before ${secret} after`, 'utf16le')
    for (const bytes of [little, Buffer.from(little).swap16()]) {
      const out = inPieces(bytes, [7])
      expect(out.length).toBe(bytes.length)
      expect(out.toString('latin1').replaceAll('\0', '')).toMatch(/^before \*+ after$/)
    }
  })

  it('is found in any text and in any pieces, and nothing else is changed', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(fc.string(), fc.constantFrom(...spellings.map(String), secret.slice(0, 9), 'sk-')),
          {
            maxLength: 8,
          },
        ),
        fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 6 }),
        (texts, lengths) => {
          const bytes = Buffer.from(texts.join(' '))
          const out = inPieces(bytes, lengths)
          expect(out.length).toBe(bytes.length)
          expect(out.includes(secret)).toBe(false)
          const changed = [...out.keys()].filter((at) => out[at] !== bytes[at])
          expect(changed.every((at) => out[at] === 0x2a)).toBe(true)
          if (!spellings.some((one) => bytes.includes(one))) expect(out).toEqual(bytes)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('holds nothing back that cannot become one', () => {
    const scrub = scrubber(spellings)
    expect(scrub.feed(Buffer.from('data: {"a":1}\n\n')).toString()).toBe('data: {"a":1}\n\n')
    expect(scrub.feed(Buffer.from(`data: ${secret.slice(0, 5)}`)).toString()).toBe('data: ')
    expect(scrub.feed(Buffer.from('nothing')).toString()).toBe(`${secret.slice(0, 5)}nothing`)
    expect(scrub.end()).toHaveLength(0)
  })

  it('is found in a header, and one that has none is the same as before', () => {
    expect(starredTexts(['a', `Bearer ${secret}`], spellings)).toEqual([
      'a',
      `Bearer ${'*'.repeat(secret.length)}`,
    ])
    const without = ['a', 'text/plain']
    expect(starredTexts(without, spellings)).toBe(without)
    const bytes = Buffer.from('nothing here')
    expect(starred(bytes, spellings)).toBe(bytes)
  })

  it('that is no more than a few letters is looked for nowhere', () => {
    expect(spellingsOf(['abc', ''])).toEqual([])
  })
})
