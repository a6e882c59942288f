import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { size } from '../../../test/figures.ts'
import { canary } from '../../testing/canary.ts'
import { masking, maskOf } from './masking.ts'

const secret = `ghu_${canary('lent')}+/ä "x"`

/** What comes out, where it is cut in the given places. */
function through(secrets: readonly string[], chunks: readonly Uint8Array[], idle = false): string {
  const mask = maskOf(secrets)
  const told = chunks.flatMap((chunk) => [mask.pass(chunk), idle ? mask.idle() : new Uint8Array()])
  return Buffer.concat([...told, mask.end()]).toString('latin1')
}

function cut(text: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [0, ...places.map((place) => place % (text.length + 1)).toSorted((a, b) => a - b), text.length]
  return at.slice(1).map((end, index) => text.subarray(at[index], end))
}

describe('[security 20.1] what a program was lent is masked in what it says', () => {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  it.each([
    ['as it is', secret],
    ['in JSON', JSON.stringify({ token: secret })],
    ['in a URL', `https://x/?token=${encodeURIComponent(secret)}&b`],
    ['in a form', new URLSearchParams({ token: secret.replaceAll(/[(!~*')]/g, '') }).toString()],
    ['in base64', base64(secret)],
    ['in a basic pair', `Basic ${base64(`x-access-token:${secret}`)}`],
    ['in base64 behind one byte', base64(`a${secret}b`)],
    ['in base64 behind two bytes', base64(`ab${secret}`)],
    ['in base64url', Buffer.from(`{"t":"${secret}"}`).toString('base64url')],
    ['in hex', Buffer.from(secret).toString('hex')],
    ['in upper-case hex', Buffer.from(secret).toString('hex').toUpperCase()],
  ])('%s', (_, said) => {
    const told = through([secret], [Buffer.from(`before ${said} after`)])
    expect(told).toMatch(/^before .*\[secret\].* after$/)
    // Of what stands around it in base64 a few bits of it may be left, and no more.
    expect(told.replace('[secret]', '').length).toBeLessThan('before  after'.length + 36)
    for (const piece of [secret.slice(4, 16), base64(secret).slice(4, 16)]) expect(told).not.toContain(piece)
  })

  it('wherever it is cut, and as often as it comes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ minLength: 5, maxLength: 12, unit: fc.constantFrom('a', 'b', 'c') }), {
          minLength: 1,
          maxLength: 3,
        }),
        fc.array(fc.oneof(fc.nat(5), fc.constantFrom('a', 'b', 'c', 'aab', '\n')), { maxLength: 30 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (secrets, parts, places) => {
          const text = Buffer.from(
            parts.map((part) => (typeof part === 'number' ? secrets[part % secrets.length] : part)).join(''),
          )
          const whole = through(secrets, [text])
          expect(through(secrets, cut(text, places))).toBe(whole)
          for (const one of secrets) {
            expect(whole).not.toContain(one)
            expect(through(secrets, cut(text, places), true)).not.toContain(one)
          }
        },
      ),
      { numRuns: size(2000, 100_000) },
    )
  })

  it('leaves every other byte as it is', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.array(fc.nat(), { maxLength: 6 }),
        (bytes, places) => {
          expect(through([secret], cut(bytes, places), true)).toBe(Buffer.from(bytes).toString('latin1'))
        },
      ),
      { numRuns: size(500, 20_000) },
    )
  })

  it('holds nothing back that cannot become a secret', () => {
    const mask = maskOf([secret])
    expect(Buffer.from(mask.pass(Buffer.from('Password: '))).toString()).toBe('Password: ')
    expect(Buffer.from(mask.pass(Buffer.from('gh'))).toString()).toBe('')
    expect(Buffer.from(mask.pass(Buffer.from('ost'))).toString()).toBe('ghost')
  })

  it('lets a prompt be seen that ends as a secret begins, and masks the rest if it was one', async () => {
    const stream = masking([secret])
    let told = ''
    stream.on('data', (chunk) => {
      told += chunk
    })
    stream.write('which? g')
    await expect.poll(() => told).toBe('which? g')
    stream.write(secret.slice(1, 9))
    await pause(100)
    expect(told).toBe(`which? ${secret.slice(0, 3)}`)
    stream.end(`${secret.slice(9)}!`)
    await expect.poll(() => told).toBe(`which? ${secret.slice(0, 3)}[secret]!`)
  })

  it('masks nothing for a value so short that every text has it', () => {
    expect(through(['a'], [Buffer.from('banana')])).toBe('banana')
  })
})
