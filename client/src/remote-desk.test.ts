import { describe, expect, it } from 'vitest'
import { ValetkeyError } from './error.ts'
import { readMessages } from './event-stream.ts'
import { gatewayPath } from './gateway.ts'
import { remoteDesk } from './remote-desk.ts'

describe('a desk elsewhere', () => {
  it('asks in the words of the routes', async () => {
    const { asked, desk, keeper } = answering({})
    await desk.connect({ provider: 'openai', bucket: 'work' })
    await desk.connect({ fields: { key: 'x' } })
    await desk.rotate('github/work')
    await desk.audit({ verb: 'lend', limit: 5 })
    await keeper.unlock('x')
    expect(asked).toEqual([
      'POST /base/api/providers/openai/connect {"bucket":"work"}',
      'POST /base/api/connect {"fields":{"key":"x"}}',
      'POST /base/api/accounts/github%2Fwork/rotate {}',
      'GET /base/api/audit?verb=lend&limit=5 ',
      'POST /base/api/vault/unlock {"passphrase":"x"}',
    ])
  })

  it('lets nothing that is to be forwarded take the place of what it is known by', async () => {
    const seen: Headers[] = []
    const { desk } = remoteDesk({
      base: 'http://door',
      headers: { cookie: 'mine' },
      fetch: async (_, init) => {
        seen.push(new Headers(init?.headers))
        return new Response(null)
      },
    })
    await desk.forward({ address: 'a', method: 'GET', path: '/', headers: { Cookie: 'theirs', 'x-a': 'b' } })
    expect(Object.fromEntries(seen[0] ?? [])).toEqual({ cookie: 'mine', 'valetkey-request': '1', 'x-a': 'b' })
  })

  it.each([
    [
      'a code of a newer version',
      { code: 'brand-new', detail: 'something new' },
      'internal-error',
      'something new',
    ],
    ['a problem without a code', { detail: 'x' }, 'internal-error', 'the answer is not one of a valetkey'],
    ['no JSON at all', undefined, 'internal-error', 'the answer is not one of a valetkey'],
  ])('takes %s for a mistake inside', async (_, problem, code, message) => {
    const { desk } = answering(problem, 500)
    await expect(desk.accounts()).rejects.toMatchObject({ code, message })
  })

  it('reads back what to do about it, and when', async () => {
    const known = answering(
      { code: 'rate-limited', detail: 'x', reaction: 'nothing', hint: 'wait', retryAfter: 7 },
      429,
    )
    await expect(known.desk.accounts()).rejects.toMatchObject({
      code: 'rate-limited',
      reaction: 'try-again',
      hint: 'wait',
      retryAfter: 7,
    })
    const newer = answering({ code: 'brand-new', detail: 'x', reaction: 'reconnect', retryAfter: -1 }, 409)
    await expect(newer.desk.accounts()).rejects.toMatchObject({
      code: 'internal-error',
      reaction: 'reconnect',
      retryAfter: undefined,
    })
    const strange = answering({ code: 'brand-new', detail: 'x', reaction: 'explode' }, 409)
    await expect(strange.desk.accounts()).rejects.toMatchObject({ reaction: 'nothing' })
  })

  it('says that the broker is gone when nobody answers, and passes on that the caller stopped', async () => {
    const fetch = () => Promise.reject(new TypeError('fetch failed'))
    const { desk } = remoteDesk({ base: 'http://door', fetch })
    await expect(desk.accounts()).rejects.toMatchObject({ code: 'broker-gone', retryable: true })
    const signal = AbortSignal.abort()
    const stopped = desk.forward({ address: 'a', method: 'GET', path: '/', signal })
    await expect(stopped).rejects.not.toBeInstanceOf(ValetkeyError)
  })
})

describe('the way through the gateway', () => {
  it.each([
    ['openai', '/v1/models?a=b', '/forward/openai/default/v1/models?a=b'],
    ['openai/work', 'v1/models', '/forward/openai/work/v1/models'],
    ['openai', '/a/../../../../api/vault', '/forward/openai/default/api/vault'],
    ['openai', '/%2e%2e/%2e%2e/api', '/forward/openai/default/api'],
    ['openai', '//evil.test/x', '/forward/openai/default//evil.test/x'],
    ['openai', 'https://api.openai.com/v1?x=1#y', '/forward/openai/default/~/api.openai.com/v1?x=1'],
    ['openai', 'HTTPS://u:p@api.openai.com', '/forward/openai/default/~/api.openai.com/'],
  ])('of %s to %s is %s', (address, target, path) => {
    expect(gatewayPath(address, target)).toBe(path)
  })

  it.each([
    'http://api.openai.com/',
    'http://localhost:4010/',
    'http://127.0.0.1/',
    'file:///etc/passwd',
    'javascript:alert(1)',
  ])('has no room for %s', (target) => {
    expect(() => gatewayPath('openai', target)).toThrow('https')
  })

  it.each(['https://', 'https://[::', 'https://user@', 'https://a b/'])(
    'cannot be read out of %s',
    (target) => {
      expect(() => gatewayPath('openai', target)).toThrow(ValetkeyError)
    },
  )

  it('starts at an address', () => {
    expect(() => gatewayPath('a/b/c', '/')).toThrow('no account has the address')
  })
})

describe('a stream of messages', () => {
  it('is read however it is cut into pieces', async () => {
    const text =
      ': hello\n\nid: 1\nevent: connected\ndata: {"a":"ü"}\n\ndata: one\r\ndata:two\r\n\r\nid: 3\ndata: cut'
    const bytes = new TextEncoder().encode(text)
    for (const size of [1, 2, 3, 7, 1000]) {
      const messages = []
      for await (const message of readMessages(inPieces(bytes, size))) messages.push(message)
      expect(messages).toEqual([
        { id: '1', event: 'connected', data: '{"a":"ü"}' },
        { id: undefined, event: 'message', data: 'one\ntwo' },
      ])
    }
  })
})

function answering(answer: unknown, status = 200) {
  const asked: string[] = []
  const fetch = async (url: string | URL, init: RequestInit = {}) => {
    const { pathname, search } = new URL(url)
    asked.push(`${init.method} ${pathname}${search} ${init.body ?? ''}`)
    return answer === undefined ? new Response('<html>', { status }) : Response.json(answer, { status })
  }
  return { asked, ...remoteDesk({ base: 'http://door/base/', fetch }) }
}

function inPieces(bytes: Uint8Array, size: number): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close()
      controller.enqueue(bytes.slice(at, at + size))
      at += size
    },
  })
}
