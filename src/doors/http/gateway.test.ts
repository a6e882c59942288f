import { describe, expect, it } from 'vitest'
import type { ForwardAnswer } from '#client'
import { canary } from '../../testing/canary.ts'
import { printForward, readForward } from './gateway.ts'

const PLACE = 'openai/work'

describe('the request that crosses', () => {
  it.each([
    ['/forward/openai/work/v1/models?limit=2', '/v1/models?limit=2'],
    ['/forward/openai/work/', '/'],
    ['/forward/openai/work/a%2Fb%20c', '/a%2Fb%20c'],
    ['/forward/openai/work/~/uploads.github.com/x?y=1', 'https://uploads.github.com/x?y=1'],
    ['/forward/openai/work/~/uploads.github.com', 'https://uploads.github.com/'],
    ['/forward/openai/work/~user/x', '/~user/x'],
  ])('goes from %s to %s', (path, target) => {
    expect(readForward(requestOf(path), PLACE)).toMatchObject({ address: 'openai/work', path: target })
  })

  it.each([
    '/forward/openai/work/~/user@evil.test/x',
    '/forward/openai/work/~//x',
    '/forward/openai/work/~/evil.test%2F@api.openai.com/x',
    '/forward/openai/work/~/a.test:99999999/x',
  ])('[security 1.17] has a host that is nothing but a host, unlike %s', (path) => {
    expect(() => readForward(requestOf(path), PLACE)).toThrow('the name of a host is expected')
  })

  it('leaves behind who sent it, how it came and where from', () => {
    const secret = canary('client')
    const { headers } = readForward(
      requestOf('/forward/openai/work/x', {
        accept: 'text/html',
        authorization: `Bearer ${secret}`,
        connection: 'keep-alive, X-Mine',
        cookie: `__Host-valetkey=${secret}`,
        forwarded: 'for=10.0.0.1',
        host: 'valetkey',
        'keep-alive': '5',
        origin: 'http://127.0.0.1:1',
        'proxy-authorization': secret,
        referer: 'http://127.0.0.1:1/',
        'sec-fetch-site': 'same-origin',
        te: 'trailers',
        upgrade: 'h2c',
        'valetkey-as': 'app:x',
        'x-client-cert': secret,
        'x-forwarded-for': '10.0.0.1',
        'x-mine': secret,
        'x-trace': 'kept',
      }),
      PLACE,
    )
    expect(headers).toEqual({ accept: 'text/html', 'x-trace': 'kept' })
  })
})

describe('what a request is for', () => {
  it('is told to the broker, and is no header any more', () => {
    const request = readForward(requestOf('/forward/openai/work/x', { 'Valetkey-Purpose': 'reports' }), PLACE)
    expect(request).toMatchObject({ purpose: 'reports', headers: {} })
    expect(readForward(requestOf('/forward/openai/work/x'), PLACE)).not.toHaveProperty('purpose')
  })
})

describe('the answer that crosses', () => {
  it('[security 1.19] can do nothing on our own origin', () => {
    const answer = printForward(
      answerOf([
        ['Content-Type', 'text/html'],
        ['Set-Cookie', '__Host-valetkey=x'],
        ['Access-Control-Allow-Origin', '*'],
        ['Clear-Site-Data', '"*"'],
        ['Content-Security-Policy', "script-src 'unsafe-inline'"],
        ['Service-Worker-Allowed', '/'],
        ['Transfer-Encoding', 'chunked'],
        ['Valetkey-Error', 'locked'],
        ['X-Trace', 'kept'],
      ]),
    )
    expect(Object.fromEntries(answer.headers)).toEqual({
      'content-type': 'text/html',
      'content-security-policy': 'sandbox',
      'x-content-type-options': 'nosniff',
      'x-trace': 'kept',
    })
  })

  it.each([204, 304])('has no body when its status is %i', (status) => {
    expect(printForward({ ...answerOf([]), status }).body).toBeNull()
  })
})

describe('a challenge that crosses', () => {
  it.each([
    'Bearer',
    'Bearer realm="a, Basic b", error="invalid_token"',
    'Bearer resource_metadata="https://mcp.test/.well-known/oauth-protected-resource"',
    'DPoP algs="ES256", error="use_dpop_nonce"',
    'Bearer realm="x", DPoP algs="ES256"',
  ])('is one that a program understands: %s', (challenge) => {
    expect(challengeOf([['www-authenticate', challenge]])).toBe(challenge)
  })

  it.each([
    'Basic realm="valetkey"',
    'Basic',
    'Bearer realm="x", Basic realm="y"',
    'Bearer, basic',
    'Digest realm="x", qop="auth", nonce="n"',
    'NTLM',
    'Negotiate dG9rZW4=',
    'Bearer realm="\\"", Basic realm="y"',
    'Bearer realm="x',
    'bearerish',
  ])('[security 1.19] never has a browser ask for a password in our name: %s', (challenge) => {
    expect(challengeOf([['WWW-Authenticate', challenge]])).toBeNull()
  })

  it('[security 1.19] is judged one by one where there are several', () => {
    const both = [
      ['www-authenticate', 'Bearer realm="x"'],
      ['www-authenticate', 'Basic realm="y"'],
    ] as const
    expect(challengeOf(both)).toBe('Bearer realm="x"')
  })
})

function challengeOf(headers: ForwardAnswer['headers']): string | null {
  return printForward(answerOf(headers)).headers.get('www-authenticate')
}

function requestOf(path: string, headers: Record<string, string> = {}): Request {
  const { signal } = new AbortController()
  const url = new URL(path, 'http://valetkey').href
  return { method: 'GET', url, headers: new Headers(headers), body: null, signal } as unknown as Request
}

function answerOf(headers: ForwardAnswer['headers']): ForwardAnswer {
  return { status: 200, headers, body: new Response('x').body }
}
