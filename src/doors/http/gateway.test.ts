import { describe, expect, it } from 'vitest'
import type { ForwardAnswer } from '#client'
import { canary } from '../../testing/canary.ts'
import { printForward, readForward } from './gateway.ts'

const PLACE = { provider: 'openai', bucket: 'work' }

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

function requestOf(path: string, headers: Record<string, string> = {}): Request {
  const { signal } = new AbortController()
  const url = new URL(path, 'http://valetkey').href
  return { method: 'GET', url, headers: new Headers(headers), body: null, signal } as unknown as Request
}

function answerOf(headers: ForwardAnswer['headers']): ForwardAnswer {
  return { status: 200, headers, body: new Response('x').body }
}
