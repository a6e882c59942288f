import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { type Recorded, type RecordedAnswer, replaced } from './recorded-shape.ts'
import { honestIdToken, type SigningKey, signingKey } from './signing.ts'
import { type ListeningStandIn, type StandInAnswer, type StandInRequest, standIn } from './stand-in.ts'

const ALGORITHM = 'ES256'
const KEYS = '/recorded/keys'

/** A recorded provider on loopback: what was recorded is said once, in order, and nothing else is. */
export interface RecordedServer {
  readonly origin: string
  readonly requests: readonly StandInRequest[]
  /** What nobody recorded an answer to. */
  readonly unanswered: readonly string[]
  /** Answers that were given. */
  readonly given: ReadonlySet<RecordedAnswer>
  /** Whether there is one left for this place. */
  hasLeft(on: string): boolean
  /** Says this there next, after all that was recorded. */
  add(answer: RecordedAnswer): void
  /** What binds the next ID token to its sign-in. */
  signedInBy(request: { readonly clientId: string; readonly nonce: string | null }): void
  close(): Promise<void>
}

export interface Played {
  readonly recorded: Recorded
  readonly flow: string
  /** By the origin: its authorization server in the words of its metadata, where it has an issuer. */
  metadata(origin: string): Readonly<Record<string, unknown>> | undefined
  readonly now: () => Date
}

export async function recordedServer({ recorded, flow, metadata, now }: Played): Promise<RecordedServer> {
  const key = await signingKey(ALGORITHM)
  const given = new Set<RecordedAnswer>()
  const unanswered: string[] = []
  const left = recorded.answers
    .filter((one) => one.flow === undefined || one.flow === flow)
    .flatMap((one) => Array.from({ length: one.times }, () => one))
  let asked = { clientId: '', nonce: null as string | null }
  const there: ListeningStandIn = await standIn({ '*': answerTo }).listen()

  function find(on: string): number {
    const bare = on.split('?')[0]
    return left.findIndex((one) => one.on === on || one.on === bare)
  }

  async function answerTo(request: StandInRequest): Promise<StandInAnswer> {
    const on = `${request.method} ${request.path}`
    if (request.path === KEYS) return { body: { keys: [key.jwk] } }
    const at = find(on)
    const [found] = at < 0 ? [] : left.splice(at, 1)
    if (found === undefined) return unrecorded(on)
    given.add(found)
    return said(found, on)
  }

  function unrecorded(on: string): StandInAnswer {
    const described = metadata(there.origin)
    if (on.includes('/.well-known/') && described !== undefined) return { body: withOurKeys(described) }
    unanswered.push(on.split('?')[0] ?? on)
    return { status: 404, body: { error: 'nobody recorded an answer to this' } }
  }

  async function said(answer: RecordedAnswer, on: string): Promise<StandInAnswer> {
    const issuer = String(metadata(there.origin)?.['issuer'] ?? there.origin)
    const token = await idToken(issuer, accessTokenIn(answer.body))
    const whole = replaced(answer.body, (text) =>
      text.replaceAll('{origin}', there.origin).replaceAll('{idToken}', token),
    )
    const body = on.includes('/.well-known/') ? withOurKeys(whole) : whole
    const headers = { 'content-type': answer.type, ...answer.headers }
    const written = typeof body === 'string' ? body : JSON.stringify(body)
    return { status: answer.status, headers, body: dated(written) }
  }

  /** A moment in seconds since 1970, which nobody can have recorded. */
  function dated(written: string): string {
    const seconds = Math.floor(now().getTime() / 1000)
    return written.replaceAll(/"\{now\+(\d{1,9})\}"/g, (_, later: string) => String(seconds + Number(later)))
  }

  function withOurKeys(document: unknown): unknown {
    return {
      ...(document as object),
      jwks_uri: there.origin + KEYS,
      id_token_signing_alg_values_supported: [ALGORITHM],
    }
  }

  async function idToken(iss: string, accessToken: string): Promise<string> {
    const iat = Math.floor(now().getTime() / 1000)
    const { clientId: aud, nonce } = asked
    const binding = nonce === null ? {} : { nonce }
    const claims = { iss, aud, iat, exp: iat + 3600, at_hash: hashOf(accessToken), ...binding }
    return honestIdToken({ sub: 'recorded', ...claims, ...recorded.idToken }, [key] as readonly SigningKey[])
  }

  return {
    origin: there.origin,
    requests: there.requests,
    unanswered,
    given,
    hasLeft: (on) => find(on) >= 0,
    add: (answer) => void left.push(answer),
    signedInBy: (request) => {
      asked = request
    },
    close: () => there.close(),
  }
}

function accessTokenIn(body: unknown): string {
  const { access_token: token } = (body ?? {}) as { access_token?: unknown }
  return typeof token === 'string' ? token : ''
}

function hashOf(token: string): string {
  const digest = createHash('sha256').update(token, 'ascii').digest()
  return Buffer.from(digest.subarray(0, 16)).toString('base64url')
}
