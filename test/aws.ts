import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SignatureV4 } from '@smithy/signature-v4'
import { canary } from '../src/testing/canary.ts'

// AWS on loopback. Whatever comes is verified by Amazon's own library for signatures, which shares no code
// with what signs here.

interface Keys {
  readonly secret: string
  readonly session?: string
  readonly arn: string
}

interface Seen {
  readonly service: string
  readonly region: string
  readonly path: string
  readonly body: string
  readonly by: string
}

export interface Aws {
  readonly origin: string
  readonly keys: Map<string, Keys>
  /** What was signed rightly. */
  readonly seen: Seen[]
  /** Answers in the place of the usual ones. */
  next: { readonly status: number; readonly body: string } | undefined
  /** STS answers in the language that is documented, whatever it is asked for. */
  inXml: boolean
  /** How many seconds what is given lives. */
  lifeSeconds: number
  readonly sso: Sso
  close(): Promise<void>
}

interface Sso {
  entered: boolean
  /** How often it was asked whether the code was entered. */
  asked: number
  says: 'authorization_pending' | 'slow_down' | 'expired_token' | 'access_denied' | undefined
  tokenSeconds: number
  refreshes: number
  isOver: boolean
  readonly token: string
  readonly refreshToken: string
  readonly clientSecret: string
  readonly roles: Record<string, readonly string[]>
  loggedOut: boolean
}

export const USER = { id: 'AKIAIOSFODNN7EXAMPLE', arn: 'arn:aws:iam::123456789012:user/alice' }
export const ROLE = 'arn:aws:iam::123456789012:role/reports'
export const START = 'https://example.awsapps.com/start'

class Sha256 {
  readonly #hash: ReturnType<typeof createHash> | ReturnType<typeof createHmac>
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    const key =
      typeof secret === 'string' || secret === undefined ? secret : Buffer.from(secret as Uint8Array)
    this.#hash = key === undefined ? createHash('sha256') : createHmac('sha256', key)
  }
  update(piece: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(typeof piece === 'string' ? piece : Buffer.from(piece as Uint8Array))
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }
  reset(): void {}
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/

function xmlOf(said: object): string {
  const entries = Object.entries(said as Record<string, unknown>)
  return entries
    .map(([name, value]) => `<${name}>${typeof value === 'object' && value ? xmlOf(value) : value}</${name}>`)
    .join('')
}

export async function openAws(now: () => number = Date.now): Promise<Aws> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  let count = 0
  const secret = canary('aws').padEnd(40, 'x')
  const aws: Aws = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    keys: new Map([[USER.id, { secret, arn: USER.arn }]]),
    seen: [],
    next: undefined,
    inXml: false,
    lifeSeconds: 3600,
    sso: {
      entered: false,
      asked: 0,
      says: undefined,
      tokenSeconds: 3600,
      refreshes: 0,
      isOver: false,
      token: canary('sso'),
      refreshToken: canary('sso-refresh'),
      clientSecret: canary('sso-client'),
      roles: { '123456789012': ['ReadOnly', 'Admin'], '210987654321': ['Billing'] },
      loggedOut: false,
    },
    async close() {
      server.close()
      server.closeAllConnections()
    },
  }

  function temporary(arn: string) {
    count += 1
    const id = `ASIA${String(count).padStart(16, 'A').replaceAll(/[01]/g, 'Z').replaceAll(/[89]/g, 'Y')}`
    const keys = { secret: canary(`aws-${count}`), session: canary(`session-${count}`), arn }
    aws.keys.set(id, keys)
    return { id, ...keys, ends: now() + aws.lifeSeconds * 1000 }
  }

  async function sts(form: URLSearchParams, { arn }: Keys): Promise<Answer> {
    const action = form.get('Action') ?? ''
    const well = (result: object): Answer => [200, { [`${action}Response`]: { [`${action}Result`]: result } }]
    if (action === 'GetCallerIdentity') return well({ Arn: arn, Account: '123456789012', UserId: 'AIDA' })
    const role = form.get('RoleArn')
    if (action === 'AssumeRole' && role !== ROLE)
      return [403, { Error: { Code: 'AccessDenied', Message: 'not authorized', Type: 'Sender' } }]
    const { id, secret, session, ends } = temporary(role ?? arn)
    const Expiration = aws.inXml ? new Date(ends).toISOString() : ends / 1000
    const named = { AccessKeyId: id, SecretAccessKey: secret, SessionToken: session, Expiration }
    return well({ Credentials: named })
  }

  function oidc(path: string, said: Record<string, string>): Answer {
    const { sso } = aws
    if (path === '/client/register')
      return [
        200,
        { clientId: 'client-1', clientSecret: sso.clientSecret, clientSecretExpiresAt: 4_000_000_000 },
      ]
    if (said['clientSecret'] !== sso.clientSecret) return [401, { error: 'invalid_client' }]
    if (path === '/device_authorization') {
      if (said['startUrl'] !== START) return [400, { error: 'invalid_request' }]
      const verificationUri = 'https://example.awsapps.com/start/#/device'
      const whole = `${verificationUri}?user_code=ABCD-EFGH`
      return [
        200,
        {
          deviceCode: 'device-1',
          userCode: 'ABCD-EFGH',
          verificationUri,
          verificationUriComplete: whole,
          expiresIn: 600,
          interval: 1,
        },
      ]
    }
    return token(said)
  }

  function token(said: Record<string, string>): Answer {
    const { sso } = aws
    const given = { accessToken: sso.token, expiresIn: sso.tokenSeconds, refreshToken: sso.refreshToken }
    if (said['grantType'] === 'refresh_token') {
      if (sso.isOver || said['refreshToken'] !== sso.refreshToken) return [400, { error: 'invalid_grant' }]
      sso.refreshes += 1
      return [200, { ...given, tokenType: 'Bearer' }]
    }
    sso.asked += 1
    if (sso.says !== undefined) return [400, { error: sso.says }]
    return sso.entered ? [200, { ...given, tokenType: 'Bearer' }] : [400, { error: 'authorization_pending' }]
  }

  function portal(url: URL, bearer: string | undefined): Answer {
    const { sso } = aws
    if (bearer !== sso.token || sso.loggedOut) return [401, { message: 'Session token not found or invalid' }]
    const account = url.searchParams.get('account_id') ?? ''
    const name = url.searchParams.get('role_name') ?? ''
    if (url.pathname === '/logout') {
      sso.loggedOut = true
      return [200, {}]
    }
    if (url.pathname === '/assignment/accounts') {
      const [first = '', ...others] = Object.keys(sso.roles)
      const list = (ids: readonly string[]) =>
        ids.map((accountId) => ({ accountId, accountName: `of ${accountId}` }))
      if (url.searchParams.has('next_token')) return [200, { accountList: list(others), nextToken: null }]
      return [200, { accountList: list([first]), nextToken: others.length > 0 ? 'more' : null }]
    }
    if (url.pathname === '/assignment/roles') {
      const roleList = (sso.roles[account] ?? []).map((roleName) => ({ roleName, accountId: account }))
      return [200, { roleList }]
    }
    if (!sso.roles[account]?.includes(name)) return [403, { message: 'No access' }]
    const { id, secret, session, ends } = temporary(`arn:aws:sts::${account}:assumed-role/${name}/me`)
    const named = { accessKeyId: id, secretAccessKey: secret, sessionToken: session, expiration: ends }
    return [200, { roleCredentials: named }]
  }

  async function answer(request: IncomingMessage, body: Buffer): Promise<Answer> {
    const url = new URL(request.url ?? '/', aws.origin)
    const bearer = request.headers['x-amz-sso_bearer_token']
    if (bearer !== undefined) return portal(url, String(bearer))
    if (request.headers['content-type'] === 'application/json' && !request.headers.authorization)
      return oidc(url.pathname, JSON.parse(body.toString()) as Record<string, string>)
    const proved = await verify(aws, request, url, body)
    if (typeof proved === 'string') return [403, { Error: { Code: proved, Message: proved, Type: 'Sender' } }]
    const { keys, ...seen } = proved
    aws.seen.push(seen)
    if (seen.service === 'sts') return sts(new URLSearchParams(body.toString()), keys)
    return [200, { hello: seen.by }]
  }

  server.on('request', async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const instead = aws.next
    if (instead !== undefined) return response.writeHead(instead.status).end(instead.body)
    const [status, said] = await answer(request, Buffer.concat(pieces))
    const isOfSts = aws.inXml && !Object.hasOwn(said, 'hello')
    const whole = isOfSts && Object.hasOwn(said, 'Error') ? { ErrorResponse: said } : said
    const [type, text] = isOfSts
      ? ['text/xml', `<?xml version="1.0"?>${xmlOf(whole)}`]
      : ['application/json', JSON.stringify(said)]
    response.writeHead(status, { 'content-type': type }).end(text)
  })
  return aws
}

type Answer = readonly [status: number, said: object]

/** The path of an object as S3 itself writes it, whoever left which of its signs bare. */
function reencoded(path: string): string {
  const bare = /[!'()*]/g
  return decodeURIComponent(path)
    .split('/')
    .map((part) =>
      encodeURIComponent(part).replace(bare, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`),
    )
    .join('/')
}

async function verify(aws: Aws, request: IncomingMessage, url: URL, body: Buffer) {
  const parts = AUTHORIZATION.exec(request.headers.authorization ?? '')
  if (parts === null) return 'IncompleteSignature'
  const [, id = '', , region = '', service = '', names = '', signature = ''] = parts
  const keys = aws.keys.get(id)
  if (keys === undefined) return 'InvalidClientTokenId'
  if (request.headers['x-amz-security-token'] !== keys.session) return 'InvalidClientTokenId'
  const stamp = String(request.headers['x-amz-date'])
  const at = new Date(stamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
  const hash = String(request.headers['x-amz-content-sha256'])
  const isWhole = hash === createHash('sha256').update(body).digest('hex')
  if (!isWhole && !(service === 's3' && hash === 'UNSIGNED-PAYLOAD')) return 'XAmzContentSHA256Mismatch'
  const named = names.split(';')
  if (!named.includes('host')) return 'IncompleteSignature'
  const unsigned = Object.keys(request.headers).find(
    (name) => name.startsWith('x-amz-') && !named.includes(name),
  )
  if (unsigned !== undefined) return 'AccessDenied'
  const headers = Object.fromEntries(
    named.map((name) => [name, String(request.headers[name])]).filter(([name]) => name !== 'x-amz-date'),
  )
  const signer = new SignatureV4({
    service,
    region,
    credentials: {
      accessKeyId: id,
      secretAccessKey: keys.secret,
      ...(keys.session && { sessionToken: keys.session }),
    },
    sha256: Sha256,
    applyChecksum: false,
    uriEscapePath: service !== 's3',
  })
  const query: Record<string, string[]> = {}
  for (const [name, value] of url.searchParams) query[name] = [...(query[name] ?? []), value]
  const asked = {
    method: request.method ?? '',
    protocol: 'http:',
    hostname: url.hostname,
    path: service === 's3' ? reencoded(url.pathname) : url.pathname,
    query,
    headers,
    body,
  }
  const ours = await signer.sign(asked, { signingDate: at })
  const expected = /Signature=([0-9a-f]{64})/.exec(ours.headers['authorization'] ?? '')?.[1] ?? ''
  if (!timingSafeEqual(Buffer.from(expected.padEnd(64)), Buffer.from(signature)))
    return 'SignatureDoesNotMatch'
  return { service, region, path: url.pathname, body: body.toString(), by: keys.arn, keys }
}
