import { describe, expect, it } from 'vitest'
import { guardLoopback } from './guard.ts'

const PORT = 4321

describe('what a page of another site can make a browser send', () => {
  it.each(['127.0.0.1:4321', 'localhost:4321', '[::1]:4321'])('[security 18.4] takes the host %s', (host) => {
    expect(asked({ host }, `http://${host}/api/vault`)).toBeUndefined()
  })

  it.each([
    'evil.test',
    'evil.test:4321',
    '127.0.0.1',
    '127.0.0.1:80',
    '127.0.0.1:43210',
    '127.0.0.1:4321.evil.test',
    'localhost.evil.test:4321',
    '0.0.0.0:4321',
    '127.0.0.1:4321, evil.test',
    '',
  ])('[security 18.4] refuses the host "%s", as a rebound name would send it', (host) => {
    expect(asked({ host })?.status).toBe(421)
  })

  it('[security 18.4] refuses a request line that names another host than the header', () => {
    expect(asked({}, 'http://evil.test/api/vault')?.status).toBe(421)
  })

  it.each(['https://evil.test', 'null', 'http://localhost:4321', 'http://127.0.0.1:80', 'http://127.0.0.1'])(
    '[security 18.4] refuses the origin %s',
    (origin) => {
      expect(asked({ origin })?.status).toBe(403)
    },
  )

  it('[security 18.4] takes its own origin, and none', () => {
    expect(asked({ origin: 'http://127.0.0.1:4321' })).toBeUndefined()
    expect(asked({})).toBeUndefined()
  })

  it.each([
    ['cross-site', 403],
    ['same-site', 403],
    ['same-origin', undefined],
    ['none', undefined],
  ])('[security 18.4] judges Sec-Fetch-Site: %s', (site, status) => {
    expect(asked({ 'sec-fetch-site': site })?.status).toBe(status)
  })

  it.each(['POST', 'DELETE', 'PUT', 'PATCH', 'OPTIONS'])(
    '[security 18.4] refuses a %s without a mark',
    (method) => {
      expect(asked({}, undefined, method)?.status).toBe(403)
      expect(asked({ 'content-type': 'text/plain' }, undefined, method)?.status).toBe(403)
      expect(asked({ 'content-type': 'application/json; charset=utf-8' }, undefined, method)).toBeUndefined()
      expect(asked({ 'valetkey-request': '1' }, undefined, method)).toBeUndefined()
    },
  )

  it('lets browsers come back from providers, and to nothing else', () => {
    const away = { origin: 'https://provider.test', 'sec-fetch-site': 'cross-site' }
    const back = (path: string, method = 'GET') => asked(away, `http://127.0.0.1:4321${path}`, method)?.status
    expect(back('/oauth/callback/github?code=1&state=2')).toBeUndefined()
    expect(back('/oauth/callback/github', 'POST')).toBeUndefined()
    expect(back('/oauth/callback/over/abc-_1')).toBeUndefined()
    expect(back('/oauth/callback/github', 'DELETE')).toBe(403)
    expect(back('/oauth/callback')).toBe(403)
    expect(back('/oauth/callbacks/github')).toBe(403)
    expect(back('/forward/openai/default/../../../oauth/callback/github')).toBe(403)
    expect(back('/oauth/callback/../../api/vault')).toBe(403)
    expect(back('/oauth/callback/..%2f..%2fapi')).toBe(403)
    expect(asked({ ...away, host: 'evil.test' }, 'http://evil.test/oauth/callback/github')?.status).toBe(421)
  })

  it('sends whoever comes by another name to the canonical one', () => {
    const answer = asked({ host: 'localhost:4321' }, 'http://localhost:4321/')
    expect(answer?.status).toBe(303)
    expect(answer?.headers.get('location')).toBe('http://127.0.0.1:4321/')
    expect(asked({}, 'http://127.0.0.1:4321/')).toBeUndefined()
  })

  it('[security 18.4] never consents to another origin', () => {
    const preflight = {
      origin: 'https://evil.test',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'valetkey-request',
    }
    const answer = asked(preflight, undefined, 'OPTIONS')
    expect(answer?.status).toBe(403)
    expect([...(answer?.headers.keys() ?? [])].filter((name) => name.startsWith('access-control'))).toEqual(
      [],
    )
  })
})

function asked(
  headers: Record<string, string>,
  url = 'http://127.0.0.1:4321/api/vault',
  method = 'GET',
): Response | undefined {
  const all = new Headers({ host: '127.0.0.1:4321', ...headers })
  // A browser's own Request would not carry these headers; a listener's does.
  const request = { method, url, headers: all } as Request
  return guardLoopback(request, PORT)
}
