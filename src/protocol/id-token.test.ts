import { describe, expect, it } from 'vitest'
import { judgeClaims } from './id-token.ts'

const now = new Date(1_700_000_000_000)
const claims = { sub: 'person-1', aud: 'client', iat: 1_700_000_000 }
const expected = {
  issuer: 'https://login.acme.test',
  clientId: 'client',
  algorithms: ['ES256' as const],
  accessToken: 'jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y',
}
const token = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.e30.x`
const judged = (change: object, more: object = {}) =>
  judgeClaims(token, { ...claims, ...change }, { ...expected, ...more }, now)
const wrong = (name: string) => expect.objectContaining({ message: expect.stringContaining(`"${name}"`) })

describe('the claims of an ID token', () => {
  it('are taken when all of them are right', () => {
    expect(judged({}).sub).toBe('person-1')
    expect(judged({ aud: ['client', 'api'], azp: 'client', sub: 'x'.repeat(255) }).azp).toBe('client')
  })

  it('hold the hash of OpenID Connect Core, appendix A.3', () => {
    expect(judged({ at_hash: '77QmUPtjPfzWtF2AnpK9RQ' }).sub).toBe('person-1')
    expect(() => judged({ at_hash: '77QmUPtjPfzWtF2AnpK9RR' })).toThrow(wrong('at_hash'))
    expect(() => judged({ at_hash: '' })).toThrow(wrong('at_hash'))
  })

  it.each<[string, object]>([
    ['sub', { sub: undefined }],
    ['sub', { sub: '' }],
    ['sub', { sub: 'x'.repeat(256) }],
    ['azp', { aud: ['client', 'api'] }],
    ['azp', { azp: 'api' }],
    ['iat', { iat: undefined }],
    ['iat', { iat: 1_700_000_061 }],
  ])('are refused for a wrong %s: %j', (name, change) => {
    expect(() => judged(change)).toThrow(wrong(name))
  })

  it('hold the nonce, where there is one to hold', () => {
    expect(() => judged({ nonce: 'b' }, { nonce: 'a' })).toThrow(wrong('nonce'))
    expect(() => judged({}, { nonce: 'a' })).toThrow(wrong('nonce'))
    expect(judged({ nonce: 'b' }).sub).toBe('person-1')
  })

  it('stay after a refresh what they were before', () => {
    const before = { ...claims, auth_time: 5, nonce: 'a' }
    expect(judged({ iat: claims.iat + 9, auth_time: 5 }, { before }).sub).toBe('person-1')
    for (const [name, value] of [
      ['sub', 'person-2'],
      ['auth_time', 6],
      ['nonce', 'b'],
    ] as const)
      expect(() => judged({ [name]: value }, { before })).toThrow(wrong(name))
  })
})
