import { createHash, randomUUID } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Possession, provenThumbprint, seenProofs } from './dpop-proof.ts'

const NOW = new Date('2027-03-01T12:00:00Z')
const URL_ASKED = new URL('https://valetkey.test/forward/openai/default/v1/models?limit=3')
const TOKEN = 'vk_0123456789abcdef_0123456789abcdef0123456789abcdef0123456789a'
const ath = createHash('sha256').update(TOKEN).digest('base64url')

let keys: Awaited<ReturnType<typeof generateKeyPair>>
beforeAll(async () => {
  keys = await generateKeyPair('ES256', { extractable: true })
})

const claims = () => ({
  htm: 'GET',
  htu: 'https://valetkey.test/forward/openai/default/v1/models',
  jti: randomUUID(),
  iat: NOW.getTime() / 1000,
  ath,
})
async function signed(more: object = {}, header: object = {}): Promise<string> {
  const jwk = await exportJWK(keys.publicKey)
  const full = { alg: 'ES256', typ: 'dpop+jwt', jwk, ...header }
  return new SignJWT({ ...claims(), ...more }).setProtectedHeader(full).sign(keys.privateKey)
}
const prove = (proof: string, more: Partial<Possession> = {}, seen = seenProofs()) =>
  provenThumbprint({ proof, method: 'GET', url: URL_ASKED, token: TOKEN, ...more }, seen, NOW)
const refused = (proof: string, more?: Partial<Possession>) =>
  expect(prove(proof, more)).rejects.toMatchObject({ code: 'unauthenticated' })
const coded = (json: string) => Buffer.from(json).toString('base64url')

describe('a proof of possession (RFC 9449) [security 9.2]', () => {
  it('says by which key the request was signed; the query of the address does not count', async () => {
    expect(await prove(await signed())).toBe(await calculateJwkThumbprint(await exportJWK(keys.publicKey)))
  })

  it('is good once', async () => {
    const seen = seenProofs()
    const proof = await signed()
    await prove(proof, {}, seen)
    await expect(prove(proof, {}, seen)).rejects.toMatchObject({ code: 'unauthenticated' })
    await prove(await signed(), {}, seen)
  })

  it('is remembered until it is too old by itself, and believed by nobody where there is no room', () => {
    const seen = seenProofs(2)
    expect([seen.isNew('a', 10, 0), seen.isNew('b', 20, 0)]).toEqual([true, true])
    expect(seen.isNew('c', 30, 5)).toBe(false)
    expect(seen.isNew('c', 30, 10)).toBe(true)
    expect(seen.isNew('b', 40, 11)).toBe(false)
  })

  it.each([
    ['another method', { method: 'POST' }],
    ['another path', { url: new URL('https://valetkey.test/forward/openai/default/v1/other') }],
    ['another host', { url: new URL('https://evil.test/forward/openai/default/v1/models') }],
    ['another port', { url: new URL('https://valetkey.test:444/forward/openai/default/v1/models') }],
    ['another scheme', { url: new URL('http://valetkey.test/forward/openai/default/v1/models') }],
    ['another token', { token: `${TOKEN}x` }],
  ])('is for %s of no use', async (_, more) => refused(await signed(), more))

  it.each<[string, object]>([
    ['no method', { htm: undefined }],
    ['no address', { htu: undefined }],
    ['an address that is none', { htu: 'here' }],
    ['no token', { ath: undefined }],
    ['no number', { jti: undefined }],
    ['an endless number', { jti: 'x'.repeat(201) }],
    ['no time', { iat: undefined }],
    ['a time long ago', { iat: NOW.getTime() / 1000 - 61 }],
    ['a time ahead', { iat: NOW.getTime() / 1000 + 31 }],
    ['an end that has passed', { exp: NOW.getTime() / 1000 - 60 }],
  ])('proves nothing with %s', async (_, more) => refused(await signed(more)))

  it('[security 13.6] proves nothing under another type', async () => {
    for (const typ of ['JWT', 'at+jwt', undefined]) await refused(await signed({}, { typ }))
  })

  it('[security 13.1] proves nothing by an algorithm that is not signed with a private key', async () => {
    const [, payload] = (await signed()).split('.')
    const jwk = { kty: 'oct', k: coded('secret') }
    await refused(`${coded(JSON.stringify({ alg: 'none', typ: 'dpop+jwt', jwk }))}.${payload}.`)
    const symmetric = new SignJWT(claims()).setProtectedHeader({
      alg: 'HS256',
      typ: 'dpop+jwt',
      jwk,
    } as never)
    await refused(await symmetric.sign(new TextEncoder().encode('a secret that is long enough for it')))
  })

  it('proves nothing that shows its private key', async () => {
    await refused(await signed({}, { jwk: await exportJWK(keys.privateKey) }))
  })

  it('proves nothing by another key than the one it names', async () => {
    const other = await generateKeyPair('ES256')
    await refused(await signed({}, { jwk: await exportJWK(other.publicKey) }))
  })

  it('[security 13.7] is read in one way only', async () => {
    const proof = await signed()
    const [header = '', payload = '', signature = ''] = proof.split('.')
    const twice = JSON.stringify({ ...claims(), jti: 'a' }).replace('{', '{"jti":"b",')
    for (const spoilt of [
      `${proof}=`,
      `${proof} `,
      `${header}.${payload}`,
      `${proof}.${signature}`,
      `${header}.${coded(twice)}.${signature}`,
      `${header}.${payload}.${signature}${'A'.repeat(8192)}`,
      `${proof}, ${proof}`,
      '',
      'a.b.c',
    ])
      await refused(spoilt)
    const spare = String.fromCharCode(signature.charCodeAt(85) + 1)
    await refused(`${header}.${payload}.${signature.slice(0, 85)}${spare}`)
    const critical = new SignJWT(claims()).setProtectedHeader({
      ...{ alg: 'ES256', typ: 'dpop+jwt', jwk: await exportJWK(keys.publicKey) },
      ...{ crit: ['unknown'], unknown: true },
    })
    await refused(await critical.sign(keys.privateKey, { crit: { unknown: true } }))
  })
})
