import { describe, expect, it } from 'vitest'
import { bearerChallenge, readChallenges } from './challenge.ts'

const read = (header: string) =>
  readChallenges(header).map(({ scheme, params }) => ({ scheme, ...Object.fromEntries(params) }))

describe('[security 12.1] a WWW-Authenticate header', () => {
  it('is read with its quotes, commas and blanks', () => {
    expect(read('Bearer realm="a, \\"b\\"=c" ,  error=invalid_token,scope = "one two"')).toEqual([
      { scheme: 'bearer', realm: 'a, "b"=c', error: 'invalid_token', scope: 'one two' },
    ])
  })

  it('may hold several challenges, of which ours is found', () => {
    const header =
      'Negotiate, Basic realm="x", NTLM abc+/==, BEARER resource_metadata="https://a.test/x?y=1,2", DPoP algs="ES256"'
    expect(read(header).map(({ scheme }) => scheme)).toEqual(['negotiate', 'basic', 'ntlm', 'bearer', 'dpop'])
    expect(bearerChallenge(header)?.params.get('resource_metadata')).toBe('https://a.test/x?y=1,2')
  })

  it('may name an address without quotes', () => {
    expect(
      bearerChallenge('Bearer resource_metadata=https://a.test/x')?.params.get('resource_metadata'),
    ).toBe('https://a.test/x')
  })

  it('is believed the first time where it says a name twice', () => {
    expect(read('Bearer scope="a", scope="b"')).toEqual([{ scheme: 'bearer', scope: 'a' }])
  })

  it.each([null, undefined, '', ',,,', '"', 'Basic realm="x"', `Bearer ${'x'.repeat(20_000)}`])(
    'holds nothing for us in %j',
    (header) => {
      expect(bearerChallenge(header)).toBeUndefined()
    },
  )

  it('is read as far as it can be', () => {
    expect(read('Bearer error="a", "broken')).toEqual([{ scheme: 'bearer', error: 'a' }])
  })
})
