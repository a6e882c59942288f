import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { environmentSource } from './environment.ts'

const key = randomBytes(32)

describe('a key from the environment', () => {
  it('is taken as it is, in hexadecimal or base64url', async () => {
    const written = [key.toString('hex'), key.toString('hex').toUpperCase(), key.toString('base64url')]
    for (const VALETKEY_KEY of [...written, `${key.toString('base64url')}=\n`]) {
      const source = environmentSource({ VALETKEY_KEY })
      const { key: found, remembered } = await source.create()
      expect(Buffer.from(found.revealBytes())).toEqual(key)
      expect(Buffer.from((await source.obtain(remembered)).revealBytes())).toEqual(key)
      expect(remembered).toEqual({ variable: 'VALETKEY_KEY' })
    }
  })

  it('is missed with a word on where it was looked for', async () => {
    for (const env of [{}, { VALETKEY_KEY: '' }])
      await expect(environmentSource(env).create()).rejects.toMatchObject({
        code: 'locked',
        hint: expect.stringContaining('VALETKEY_KEY'),
      })
  })

  it('is refused when it is not 32 bytes, and not shown', async () => {
    for (const text of [
      'secret',
      key.toString('hex').slice(1),
      `${key.toString('base64url')}AA`,
      `${'x'.repeat(42)}!`,
    ]) {
      const refusal = await environmentSource({ VALETKEY_KEY: text })
        .obtain({})
        .catch((error) => error)
      expect(refusal).toMatchObject({ code: 'wrong-key', hint: expect.stringContaining('VALETKEY_KEY') })
      expect(`${refusal.message} ${refusal.hint}`).not.toContain(text)
    }
  })
})
