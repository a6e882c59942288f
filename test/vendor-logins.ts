import { createHash } from 'node:crypto'
import { canary } from '../src/testing/canary.ts'
import { type ListeningStandIn, type StandInRequest, standIn } from '../src/testing/stand-in.ts'

/** What a token endpoint was asked, and as what: a form, or JSON. */
export interface Asked {
  readonly path: string
  readonly type: 'form' | 'json'
  readonly said: Readonly<Record<string, string>>
}

/** The servers behind the logins of several vendors, each with its dialect, at one address on loopback. */
export interface VendorLogins extends ListeningStandIn {
  readonly asked: readonly Asked[]
  /** What was issued; none of it may be seen outside but by whom it is lent. */
  readonly issued: readonly string[]
  /** Plays the browser of somebody who agrees: the code that it comes back with. */
  consent(url: URL): string
  /** From now on it says that it gave these scopes. */
  grant(scope: string): void
  /** From now on the person has entered the code. */
  enter(): void
  /** From now on the server says that the person said no. */
  refuse(): void
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')
const REFUSED = { status: 400, body: { error: 'invalid_grant' } }

export async function vendorLogins(): Promise<VendorLogins> {
  const asked: Asked[] = []
  const issued: string[] = []
  const challenges = new Map<string, string>()
  const states = new Map<string, string>()
  let isEntered = false
  let isRefused = false
  let wanted = ''
  let granted: string | undefined

  const read = async ({ path, headers, body }: StandInRequest): Promise<Asked> => {
    const text = String(await body)
    const type = String(headers['content-type']).startsWith('application/json') ? 'json' : 'form'
    const said = type === 'json' ? JSON.parse(text) : Object.fromEntries(new URLSearchParams(text))
    const heard = { path, type, said } as const
    asked.push(heard)
    return heard
  }

  function tokens() {
    const [access, refresh] = [canary('access'), canary('refresh')]
    issued.push(access, refresh)
    return {
      access_token: access,
      refresh_token: refresh,
      token_type: 'Bearer',
      expires_in: 3600,
      ...(granted && { scope: granted }),
    }
  }

  /** A code is good with the verifier of its challenge, once; a refresh token that was issued is good for more. */
  async function token(request: StandInRequest) {
    const { said } = await read(request)
    const { grant_type: how, code = '', code_verifier: verifier = '', refresh_token: refresh = '' } = said
    if (how === 'refresh_token') return issued.includes(refresh) ? { body: tokens() } : REFUSED
    const challenge = challenges.get(code)
    challenges.delete(code)
    if (challenge === undefined || challenge !== sha256(verifier)) return REFUSED
    return { body: tokens() }
  }

  /** As the first one, for a server that wants to hear the state once more. */
  async function tokenWithState(request: StandInRequest) {
    const { said, type } = await read({ ...request, body: request.body })
    asked.pop()
    if (said['grant_type'] === 'authorization_code' && said['state'] !== states.get(said['code'] ?? ''))
      return { status: 400, body: { error: 'invalid_request' } }
    return type === 'json' ? token(request) : REFUSED
  }

  const verifier = canary('server-made').padEnd(64, 'x')
  const there = await standIn({
    'POST /v1/oauth/token': tokenWithState,
    'POST /token': token,
    'POST /oauth/token': token,
    'POST /api/accounts/deviceauth/usercode': async (request) => {
      await read(request)
      return { body: { device_auth_id: canary('device'), user_code: 'ABCD-EFGH', interval: '5' } }
    },
    'POST /api/accounts/deviceauth/token': async (request) => {
      await read(request)
      if (isRefused) return { status: 400, body: { error: { code: 'access_denied' } } }
      if (!isEntered) return { status: 403, body: {} }
      challenges.set('from-the-device', sha256(verifier))
      return { body: { authorization_code: 'from-the-device', code_verifier: verifier } }
    },
    'POST /api/v1/oauth2/device/code': async (request) => {
      const { said } = await read(request)
      wanted = said['code_challenge'] ?? ''
      const at = 'https://chat.qwen.ai/authorize'
      const whole = { verification_uri: at, verification_uri_complete: `${at}?user_code=QWEN` }
      return { body: { device_code: 'device-code', user_code: 'QWEN-CODE', ...whole, expires_in: 600 } }
    },
    'POST /api/v1/oauth2/token': async (request) => {
      const { said } = await read(request)
      if (said['grant_type'] === 'refresh_token') return { body: tokens() }
      if (!isEntered) return { status: 400, body: { error: 'authorization_pending' } }
      return wanted === sha256(said['code_verifier'] ?? '') ? { body: tokens() } : REFUSED
    },
    '*': { body: { ok: true } },
  }).listen()

  return {
    ...there,
    requests: there.requests,
    asked,
    issued,
    consent(url) {
      const code = `code-${challenges.size}-${asked.length}`
      challenges.set(code, url.searchParams.get('code_challenge') ?? '')
      states.set(code, url.searchParams.get('state') ?? '')
      return code
    },
    grant(scope) {
      granted = scope
    },
    enter() {
      isEntered = true
    },
    refuse() {
      isRefused = true
    },
  }
}
