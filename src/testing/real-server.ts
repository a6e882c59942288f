import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import Provider, { type Configuration } from 'oidc-provider'
import { Agent, fetch } from 'undici'
import { vi } from 'vitest'
import { REDIRECT_URI } from './oauth-stage.ts'

/** What of a request reached the server. */
export interface Reached {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly form: URLSearchParams
}

interface Serving {
  /** Over TLS, as this says. */
  readonly tls?: ServerOptions
}

/** A certified authorization server on loopback, which only lacks its persons. */
export async function realServer(configuration: Configuration, { tls }: Serving = {}) {
  const server = (tls === undefined ? createServer() : createTlsServer(tls)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const scheme = tls === undefined ? 'http' : 'https'
  const issuer = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = quietly(() => new Provider(issuer, { ...USUAL, ...configuration }))
  const reached: Reached[] = []
  provider.use(async (ctx, next) => {
    await next()
    const { method, path, headers } = ctx
    const body = ctx.oidc?.body ?? {}
    reached.push({ method, path, headers, form: new URLSearchParams(body as Record<string, string>) })
  })
  server.on('request', provider.callback())
  const close = async () => {
    server.close()
    server.closeAllConnections()
  }
  return { issuer, provider, reached, close }
}

const USUAL: Configuration = {
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: 'Zoë' }) }),
  claims: { openid: ['sub'], profile: ['name'] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: {
    AccessToken: 60,
    AuthorizationCode: 60,
    ClientCredentials: 60,
    DeviceCode: 600,
    RefreshToken: 600,
    IdToken: 60,
    Grant: 600,
    Session: 600,
    Interaction: 60,
  },
  cookies: { keys: ['only for this test'] },
}

/** It warns of its own pages and its store in memory, which are just what is wanted here. */
function quietly(make: () => Provider): Provider {
  const said = vi.spyOn(console, 'warn').mockReturnValue()
  try {
    const provider = make()
    provider.silent = true
    return provider
  } finally {
    said.mockRestore()
  }
}

/** A browser with cookies. It follows where it is sent, and ends at a page or on the way home. */
function browser(trusted: string | undefined, home: string) {
  const jar = new Map<string, string>()
  const dispatcher = trusted === undefined ? undefined : new Agent({ connect: { ca: trusted } })
  return async function go(url: URL, form?: URLSearchParams): Promise<{ url: URL; page?: string }> {
    const cookie = [...jar].map((pair) => pair.join('=')).join('; ')
    const posted = form === undefined ? {} : { method: 'POST', body: form }
    const options = { redirect: 'manual', headers: { cookie }, ...posted } as const
    const answer = await fetch(url, { ...options, ...(dispatcher && { dispatcher }) })
    for (const line of answer.headers.getSetCookie()) {
      const [name = '', value = ''] = (line.split(';')[0] ?? '').split('=')
      jar.set(name, value)
    }
    const location = answer.headers.get('location')
    if (location?.startsWith(home)) return { url: new URL(location) }
    if (location) return go(new URL(location, url))
    return { url, page: await answer.text() }
  }
}

/** A person in front of a browser who signs in and agrees to everything, until it is sent back or stays at a page. */
export function person(trusted?: string, home = REDIRECT_URI): (url: URL) => Promise<URL> {
  const go = browser(trusted, home)
  return async (first) => {
    for (let at = await go(first); ; ) {
      const prompt = promptOf(at.page)
      if (prompt === undefined && at.page !== undefined)
        throw new Error(`nobody knows what to do at ${at.url.pathname}`)
      if (prompt === undefined) return at.url
      at = await go(at.url, new URLSearchParams({ prompt, login: 'zoe', password: 'x' }))
    }
  }
}

/** The same person, who enters a code and agrees. */
export async function enterCode(at: URL, code: string): Promise<void> {
  const go = browser(undefined, REDIRECT_URI)
  const [, xsrf = ''] = /name="xsrf" value="(\w+)"/.exec((await go(at)).page ?? '') ?? []
  let shown = await go(at, new URLSearchParams({ xsrf, user_code: code, confirm: 'yes' }))
  for (let prompt = promptOf(shown.page); prompt !== undefined; prompt = promptOf(shown.page))
    shown = await go(shown.url, new URLSearchParams({ prompt, login: 'zoe', password: 'x' }))
}

function promptOf(page: string | undefined): string | undefined {
  return page === undefined ? undefined : /name="prompt" value="(\w+)"/.exec(page)?.[1]
}

/** A private key that signs, as PEM and as the public JWK that a server knows it by. */
export async function signingPair(kid = 'one') {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ])
  const { kty = 'EC', crv, x, y, d } = await crypto.subtle.exportKey('jwk', pair.privateKey)
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', pair.privateKey)).toString('base64')
  const shown = { kty, crv, x, y, alg: 'ES256', use: 'sig', kid }
  const pem = `-----BEGIN PRIVATE KEY-----\n${der.match(/.{1,64}/g)?.join('\n')}\n-----END PRIVATE KEY-----\n`
  const spki = Buffer.from(await crypto.subtle.exportKey('spki', pair.publicKey)).toString('base64')
  const publicPem = `-----BEGIN PUBLIC KEY-----\n${spki}\n-----END PUBLIC KEY-----\n`
  return { pem, publicPem, shown, whole: { ...shown, d } }
}
