import { generateKeyPairSync } from 'node:crypto'
import { type JwtPayload, verify } from 'jsonwebtoken'
import { canary } from '../src/testing/canary.ts'
import {
  type ListeningStandIn,
  type StandInAnswer,
  type StandInRequest,
  standIn,
} from '../src/testing/stand-in.ts'

// Google on loopback: its token endpoint, and the API by which one account acts as another. What a key signed is
// verified by a library that shares no code with what signs it here.

export const ROBOT = 'reports@a-project.iam.gserviceaccount.com'
export const OTHER = 'reader@a-project.iam.gserviceaccount.com'

const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
const [publicKey, privateKey] = [
  pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
]

export interface Google {
  readonly origin: string
  /** The JSON that Google hands out. */
  readonly key: string
  /** What the last signature that was right said. */
  said: JwtPayload | undefined
  /** Tokens that were issued, and for what. */
  readonly issued: Map<string, string>
  close(): Promise<void>
}

const REFUSED: StandInAnswer = { status: 401, body: { error: { status: 'UNAUTHENTICATED' } } }

export async function openGoogle(now: () => number): Promise<Google> {
  const issued = new Map<string, string>()
  const give = (whom: string) => {
    const token = `ya29.${canary(whom)}`
    issued.set(token, whom)
    return token
  }

  async function token({ body }: StandInRequest): Promise<StandInAnswer> {
    const form = new URLSearchParams((await body).toString())
    try {
      const said = verify(form.get('assertion') ?? '', publicKey, {
        algorithms: ['RS256'],
        audience: 'https://oauth2.googleapis.com/token',
        issuer: ROBOT,
        clockTimestamp: Math.floor(now() / 1000),
      })
      google.said = typeof said === 'string' ? undefined : said
      return { body: { access_token: give(ROBOT), token_type: 'Bearer', expires_in: 3599 } }
    } catch {
      return { status: 400, body: { error: 'invalid_grant' } }
    }
  }

  async function actAs({ headers, path, body }: StandInRequest): Promise<StandInAnswer> {
    const shown = String(headers['authorization']).replace('Bearer ', '')
    if (issued.get(shown) !== ROBOT) return REFUSED
    const whom = decodeURIComponent(path).split('/').at(-1)?.replace(':generateAccessToken', '')
    if (whom !== OTHER) return { status: 403, body: { error: { status: 'PERMISSION_DENIED' } } }
    const { scope } = JSON.parse((await body).toString()) as { scope: readonly string[] }
    const expireTime = new Date(now() + 3_600_000).toISOString()
    return { body: { accessToken: give(`${OTHER} ${scope.join(' ')}`), expireTime } }
  }

  const answer = (request: StandInRequest) => (request.path === '/token' ? token(request) : actAs(request))
  const there: ListeningStandIn = await standIn({ '*': answer }).listen()
  const google: Google = {
    origin: there.origin,
    key: JSON.stringify({
      type: 'service_account',
      client_email: ROBOT,
      private_key: privateKey,
      private_key_id: 'one',
      token_uri: 'https://oauth2.googleapis.com/token',
    }),
    said: undefined,
    issued,
    close: there.close,
  }
  return google
}
