import { ValetkeyError } from '#client'
import type { Server } from './server.ts'
import { NO_SUCH_TARGET } from './trouble.ts'

const MOST_LETTERS = 16 * 1024

/** What was remembered of the request that an answer must belong to. */
export interface Asked {
  readonly server: Server
  readonly redirectUri: string
  readonly state: string
}

/** Parameters of response types that are never asked for: they would carry a token through the browser. */
const NEVER = ['access_token', 'id_token', 'token', 'response'] as const

/**
 * Reads what came back: a whole address, or what a person pasted, `code` or `code#state`. Throws
 * `invalid-request` for what is no answer at all, so that it is asked for again; `invalid-state` for
 * an answer that does not belong here, of which nothing is believed or shown; and the server's own
 * refusal. What it returns is safe to act on.
 */
export function readCallback(text: string, asked: Asked): URLSearchParams {
  const given = text.trim()
  if (given.length > MOST_LETTERS) throw notAnAnswer('this is too long')
  const params = /^[a-z][a-z0-9+.-]*:\/\//i.test(given) ? fromAddress(given, asked) : fromPaste(given, asked)
  refuseForeign(params, asked)
  refuseError(params)
  if (!params.get('code')) throw new ValetkeyError('exchange-failed', 'the provider sent no code')
  return params
}

function fromAddress(given: string, { redirectUri }: Asked): URLSearchParams {
  const [url, home] = [URL.parse(given), new URL(redirectUri)]
  if (url?.origin !== home.origin || url.pathname !== home.pathname)
    throw notAnAnswer('this address is not where the sign-in comes back to')
  if (['code', 'state', 'error'].every((name) => !url.searchParams.has(name)))
    throw notAnAnswer('this address holds no answer')
  return url.searchParams
}

/**
 * A bare code is the person's own paste in this very session, so the session stands in for the
 * state. Where a server always names itself, only the whole address shows that it did.
 */
function fromPaste(given: string, { server, state: expected }: Asked): URLSearchParams {
  if (server.tellsIssuer || !/^[\x21-\x7e]+$/.test(given))
    throw notAnAnswer('this is not the address at which the browser ended')
  const [, code = given, state = expected] = /^(.+)#([^#]*)$/.exec(given) ?? []
  return new URLSearchParams({ code, state })
}

function refuseForeign(params: URLSearchParams, { server, state }: Asked): void {
  const names = [...params.keys()]
  if (new Set(names).size !== names.length) throw foreign()
  if (NEVER.some((name) => params.has(name))) throw foreign()
  if (!isFrom(server, params.get('iss'))) throw foreign()
  if (params.get('state') !== state) throw foreign()
}

/** RFC 9207 §2.4, letter by letter. A server without an issuer must at least be named after its own place. */
function isFrom({ issuer, authorize, token, tellsIssuer }: Server, iss: string | null): boolean {
  if (iss === null) return !tellsIssuer
  if (issuer !== null) return iss === issuer
  return URL.parse(iss)?.origin === new URL(authorize ?? token).origin
}

function refuseError(params: URLSearchParams): void {
  const error = params.get('error')
  if (error === null) return
  if (error === 'access_denied') throw new ValetkeyError('access-denied', 'access was denied at the provider')
  if (error === 'invalid_target') {
    const [code, message, hint] = NO_SUCH_TARGET
    throw new ValetkeyError(code, message, { ...(hint !== undefined && { hint }) })
  }
  throw new ValetkeyError('exchange-failed', 'the provider ended the sign-in with an error of its own', {
    hint: 'begin again; if it happens twice, check the redirect address and the scopes of the client',
  })
}

function foreign(): ValetkeyError {
  return new ValetkeyError('invalid-state', 'this answer does not belong to the sign-in under way', {
    hint: 'finish it in the browser that began it, or begin again',
  })
}

function notAnAnswer(message: string): ValetkeyError {
  return new ValetkeyError('invalid-request', message, {
    hint: 'paste the whole address at which the browser ended',
  })
}
