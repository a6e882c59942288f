import { describe, expect, it } from 'vitest'
import { Secret } from '../../model/secret.ts'
import { canary } from '../../testing/canary.ts'
import { passphraseSource } from './passphrase.ts'

const passphrase = canary('passphrase')
const GOOD = { kdf: 'argon2id', memory: 65_536, passes: 3, parallelism: 4, salt: 'AAAAAAAAAAAAAAAAAAAAAA' }

describe('a key from a passphrase', () => {
  it('[security 19.4] is derived with a salt of its own, and again the same', async () => {
    const source = passphraseSource(new Secret(`${passphrase}\u00e9`))
    const { key, remembered } = await source.create()
    expect(remembered).toMatchObject({ kdf: 'argon2id', memory: 65_536, passes: 3, parallelism: 4 })
    expect(Buffer.from(String(remembered['salt']), 'base64url')).toHaveLength(16)
    const decomposed = passphraseSource(new Secret(`${passphrase}e\u0301`))
    expect((await decomposed.obtain(remembered)).revealBytes()).toEqual(key.revealBytes())
    expect((await source.obtain(GOOD)).revealBytes()).not.toEqual(key.revealBytes())
    expect(JSON.stringify(remembered)).not.toContain('CANARY')
  })

  it('[security 19.4] is not derived with less than the floor, whatever the vault says, nor with absurdly much', async () => {
    const source = passphraseSource(new Secret(passphrase))
    const forged = [
      { memory: 65_535 },
      { memory: 8 },
      { passes: 2 },
      { parallelism: 3 },
      { memory: 2 ** 31 },
      { passes: 10_000 },
      { parallelism: 1_000 },
      { memory: 65_536.5 },
      { kdf: 'argon2i' },
      { kdf: 'none' },
      { salt: '' },
      { salt: 'AAAA' },
      { more: 1 },
    ]
    for (const change of forged)
      await expect(source.obtain({ ...GOOD, ...change } as typeof GOOD)).rejects.toMatchObject({
        code: 'tampered',
      })
    await expect(source.obtain({})).rejects.toMatchObject({ code: 'tampered' })
  })

  it('is asked for when it was not told', async () => {
    const source = passphraseSource(undefined)
    const refusal = { code: 'locked', hint: 'valetkey vault unlock' }
    await expect(source.create()).rejects.toMatchObject(refusal)
    await expect(source.obtain(GOOD)).rejects.toMatchObject(refusal)
  })
})
