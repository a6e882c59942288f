import { ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { ClientCertificate, Network, Outgoing } from '../model/network.ts'
import type { Presentation } from '../model/provider.ts'
import type { Secret } from '../model/secret.ts'
import { certificateOf } from './client-certificate.ts'
import { adoptNonce, nonceFor, openDpopKey, proofFor, wantsNonce } from './dpop.ts'
import { type Header, wear } from './presentation.ts'
import { type SigningKey, signed, signsBody } from './sigv4.ts'

type SignedBy = Extract<Presentation, { sigv4: unknown }>['sigv4']

/** One request that is about to be sent. */
export interface Asked {
  readonly method: string
  readonly url: URL
  /** By their names in lower case; what is proved stands in the place of those of the same name. */
  readonly headers: Readonly<Record<string, string>>
  /** All of it, where `needsBody` says so; left out where it is not all there. */
  readonly body?: Uint8Array | string | null
  /** The same address at the provider itself, where another stands in its place. */
  readonly at?: URL
}

export interface Proving {
  readonly now: () => Date
}

/** How an answer begins, as far as it can ask for another proof. */
export interface Heard {
  readonly status: number
  readonly challenge: string | null | undefined
  readonly nonce: string | null | undefined
}

const NOTHING: Promise<readonly Header[]> = Promise.resolve([])

/** Whether a token is bound to a key (RFC 9449), and so of no use to whoever has not got that. */
export function isBound({ tokenType, kept }: Pick<Credential, 'tokenType' | 'kept'>): boolean {
  return kept['dpopKey'] !== undefined && tokenType.toLowerCase() === 'dpop'
}

const shown = new WeakMap<Secret, ClientCertificate | undefined>()

/**
 * The certificate that a credential was issued to, which some servers want to see with it (RFC 8705 §3). It is
 * read once for as long as it lies in memory.
 */
export function certificateFor({ kept }: Pick<Credential, 'kept'>): ClientCertificate | undefined {
  const { certificate, privateKey } = kept
  if (certificate === undefined) return undefined
  if (!shown.has(certificate))
    shown.set(certificate, certificateOf({ clientId: '', clientSecret: undefined, certificate, privateKey }))
  return shown.get(certificate)
}

/** Whether every request has to be proved anew; whatever does not is worn alike by all of them. */
export function isProved(present: readonly Presentation[], credential: Credential): boolean {
  return isBound(credential) || present.some((way) => 'sigv4' in way)
}

/** Whether what is proved takes in the body, so that all of it has to be there first. */
export function needsBody(present: readonly Presentation[], at: URL): boolean {
  return present.some((way) => 'sigv4' in way) && signsBody(at)
}

/**
 * What a request wears besides that depends on the request itself: made anew for each, and again for each time
 * that it is sent.
 */
export function prove(
  present: readonly Presentation[],
  credential: Credential,
  asked: Asked,
  { now }: Proving,
): Promise<readonly Header[]> {
  const way = present.find((one) => 'sigv4' in one)
  if (way && 'sigv4' in way) return signed(asked, signingKey(way.sigv4, credential), now())
  return isBound(credential) ? boundTo(present, credential, asked) : NOTHING
}

function signingKey({ id, secret, session }: SignedBy, { worn }: Credential): SigningKey {
  const known = (field: string) => (Object.hasOwn(worn, field) ? worn[field]?.reveal() : undefined)
  const [keyId, key] = [known(id), known(secret)]
  if (keyId !== undefined && key !== undefined)
    return { id: keyId, secret: key, session: session === undefined ? undefined : known(session) }
  throw new ValetkeyError('needs-reauth', 'the stored credential has no key to sign with', {
    hint: 'connect the account again',
  })
}

/** The token in the scheme of its type, and the proof that we have its key. */
async function boundTo(
  present: readonly Presentation[],
  { worn, kept }: Credential,
  { method, url }: Asked,
): Promise<readonly Header[]> {
  const way = present.find((one) => 'header' in one && one.header === 'authorization')
  const field = way && 'header' in way ? way.field : 'accessToken'
  const [token, key] = [worn[field]?.reveal(), kept['dpopKey']]
  if (token === undefined || key === undefined) return []
  const proof = await proofFor(await openDpopKey(key), { method, url, token })
  return [
    ['authorization', `DPoP ${token}`],
    ['dpop', proof],
  ]
}

/**
 * What an answer says of the next proof. True where the same request is welcome with a proof of another nonce:
 * nothing was done for this one.
 */
export async function heed({ tokenType, kept }: Credential, url: URL, heard: Heard): Promise<boolean> {
  const key = kept['dpopKey']
  if (key === undefined || !isBound({ tokenType, kept }) || !heard.nonce) return false
  const bound = await openDpopKey(key)
  const hadNone = nonceFor(bound, 'resource', url) === undefined
  const isOther = adoptNonce(bound, 'resource', url, heard.nonce)
  return heard.status === 401 && isOther && (hadNone || wantsNonce(heard.challenge))
}

interface Wearing extends Proving {
  readonly present: readonly Presentation[]
  /** The provider's own. */
  readonly headers: Readonly<Record<string, string>>
  readonly credential: Credential
}

/** One request that wears a credential and proves what has to be proved; twice where its answer wants a nonce. */
export async function fetchWearing(
  network: Network,
  url: URL,
  { headers = {}, ...request }: Outgoing & { readonly body?: Uint8Array | string | null },
  { present, headers: theirs, credential, now }: Wearing,
): Promise<Response> {
  const own = Symbol.iterator in headers ? Object.fromEntries(headers) : headers
  const plain = { ...own, ...Object.fromEntries(wear(present, theirs, credential)) }
  const { method = 'GET', body = null } = request
  const send = async () => {
    const proved = await prove(present, credential, { method, url, headers: plain, body }, { now })
    const all = { ...plain, ...Object.fromEntries(proved) }
    return network.fetch(url, { ...request, headers: all, certificate: certificateFor(credential) })
  }
  const answer = await send()
  if (!isBound(credential)) return answer
  const challenge = answer.headers.get('www-authenticate')
  const heard = { status: answer.status, challenge, nonce: answer.headers.get('dpop-nonce') }
  if (!(await heed(credential, url, heard))) return answer
  await answer.body?.cancel().catch(() => undefined)
  return send()
}
