import { createHash } from 'node:crypto'
import { canary } from './canary.ts'
import { type StandInAnswer, type StandInRequest, standIn } from './stand-in.ts'

/** What a question is answered with while nobody has entered the code: a word, a bare status, or no answer. */
export type Reply = string | number | 'hang-up' | StandInAnswer

export interface DeviceServerOptions {
  /** By what it tells when it was asked. */
  readonly now: () => Date
  /** What its answer with the code says otherwise; undefined leaves a field out. */
  readonly begun?: Readonly<Record<string, unknown>>
  /** How the first questions are answered, in turn; all others that come before the code was entered wait. */
  readonly replies?: readonly Reply[]
  /** What the tokens come with. */
  readonly issued?: Readonly<Record<string, unknown>>
}

type Params = Readonly<Record<string, string>>

interface Poll {
  readonly at: Date
  readonly params: Params
  /** What it was signed with, where tokens are bound to a key. */
  readonly proof?: string
}

export interface DeviceServer {
  readonly origin: string
  /** What codes were asked for with. */
  readonly begun: readonly Params[]
  /** Each question whether the code was entered: when, and with what. */
  readonly polls: readonly Poll[]
  /** All else that the token endpoint was asked. */
  readonly grants: readonly Params[]
  readonly secrets: { readonly device: string; readonly access: string; readonly refresh: string }
  /** Somebody enters the code. */
  enter(): void
  close(): Promise<void>
}

/**
 * A server with opinions of its own about RFC 8628: it says no interval, refuses without a word, renews without
 * another refresh token, and speaks two dialects besides: the same address for all (`/same`), and JSON that ends
 * in a code (`/usercode`, `/poll`, `/token`).
 */
export async function deviceServer(options: DeviceServerOptions): Promise<DeviceServer> {
  const { now, replies = [] } = options
  const secrets = { device: canary('device'), access: canary('access'), refresh: canary('refresh') }
  const begun: Params[] = []
  const polls: Poll[] = []
  const grants: Params[] = []
  let isEntered = false

  function begin(params: Params): StandInAnswer {
    begun.push(params)
    return json(200, {
      device_code: secrets.device,
      user_code: 'WDJB-MJHT',
      verification_uri: `${server.origin}/enter`,
      expires_in: 300,
      ...options.begun,
    })
  }

  function tokens(more: object = {}): StandInAnswer {
    const { access: access_token } = secrets
    return json(200, { access_token, token_type: 'Bearer', expires_in: 60, ...more, ...options.issued })
  }

  /** Undefined once the code was entered, and nothing else is to be answered before. */
  function waiting(params: Params, pending: Reply, proof?: string): StandInAnswer | undefined {
    const reply = replies[polls.length] ?? (isEntered ? undefined : pending)
    polls.push({ at: now(), params, ...(proof === undefined ? {} : { proof }) })
    return reply === undefined ? undefined : answered(reply)
  }

  function poll(params: Params, proof?: string): StandInAnswer {
    if ((params['device_code'] ?? params['code']) !== secrets.device) return opaque(400)
    const early = waiting(params, 'authorization_pending', proof)
    if (early !== undefined) return early
    const { code_challenge: challenge } = begun.at(-1) ?? {}
    if (challenge !== undefined && challenge !== s256(params['code_verifier'])) return opaque(400)
    return tokens({ refresh_token: secrets.refresh })
  }

  async function token(request: StandInRequest): Promise<StandInAnswer> {
    const params = await paramsOf(request)
    const { grant_type: grant = '', response_type: response } = params
    if (response === 'device_code') return begin(params)
    if (/device/.test(grant)) return poll(params, request.headers['dpop']?.toString())
    grants.push(params)
    if (grant === 'authorization_code')
      return params['code'] === `${secrets.device}-code` && params['code_verifier'] === VERIFIER
        ? tokens({ refresh_token: secrets.refresh })
        : opaque(400)
    return params['refresh_token'] === secrets.refresh ? tokens() : opaque(400)
  }

  async function userCode(request: StandInRequest): Promise<StandInAnswer> {
    begun.push(await paramsOf(request))
    const code = { device_auth_id: secrets.device, user_code: 'WDJB-MJHT', interval: '5' }
    return json(200, { ...code, ...options.begun })
  }

  async function pollForCode(request: StandInRequest): Promise<StandInAnswer> {
    const params = await paramsOf(request)
    const early = waiting(params, polls.length % 2 === 0 ? 403 : 404)
    if (early !== undefined) return early
    if (params['device_auth_id'] !== secrets.device || params['user_code'] !== 'WDJB-MJHT') return opaque(400)
    const authorization_code = `${secrets.device}-code`
    return json(200, { authorization_code, code_challenge: s256(VERIFIER), code_verifier: VERIFIER })
  }

  const server = await standIn({
    'POST /device': async (request) => begin(await paramsOf(request)),
    'POST /token': token,
    'POST /same': token,
    'POST /usercode': userCode,
    'POST /poll': pollForCode,
    'POST /revoke': { status: 200, body: '' },
    'GET /me': ({ headers }) =>
      headers['authorization']?.toString().split(' ')[1] === secrets.access
        ? json(200, { id: 'ada', name: 'Ada' })
        : opaque(401),
  }).listen()

  return {
    origin: server.origin,
    begun,
    polls,
    grants,
    secrets,
    enter: () => {
      isEntered = true
    },
    close: server.close,
  }
}

const VERIFIER = 'a-verifier-that-the-server-made-by-itself-0123456789'

function answered(reply: Reply): StandInAnswer {
  if (reply === 'hang-up') return { hangUp: true }
  if (typeof reply === 'string') return json(400, { error: reply })
  return typeof reply === 'number' ? opaque(reply) : reply
}

/** A refusal that says nothing. */
function opaque(status: number): StandInAnswer {
  return { status, body: 'no', headers: { 'content-type': 'text/plain' } }
}

function json(status: number, body: object): StandInAnswer {
  return { status, body, headers: { 'content-type': 'application/json' } }
}

function s256(verifier = ''): string {
  return createHash('sha256').update(verifier).digest('base64url')
}

async function paramsOf({ body, headers }: StandInRequest): Promise<Params> {
  const text = (await body).toString('utf8')
  if (String(headers['content-type']).startsWith('application/json')) return JSON.parse(text)
  return Object.fromEntries(new URLSearchParams(text))
}
