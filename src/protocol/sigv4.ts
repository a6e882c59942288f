import { createHash } from 'node:crypto'
import { AwsV4Signer } from 'aws4fetch'
import { ValetkeyError } from '#client'
import type { Header } from './presentation.ts'

export interface SigningKey {
  readonly id: string
  readonly secret: string
  /** Of a key that dies. */
  readonly session?: string | undefined
}

/** One request that is about to be signed. */
export interface ToSign {
  readonly method: string
  readonly url: URL
  /** The same at its service, where another address stands in its place; what it is signed for is read from that. */
  readonly at?: URL | undefined
  readonly headers?: Readonly<Record<string, string>>
  /** Undefined for one that is not all there; only S3 takes that unsigned. */
  readonly body?: Uint8Array | string | null | undefined
}

interface Scope {
  readonly service: string
  readonly region: string
}

const NOT_SIGNED = 'UNSIGNED-PAYLOAD'
/** A body of pieces whose sender does not sign them. */
const PIECES_NOT_SIGNED = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'
const HASH = 'x-amz-content-sha256'
/** Where a service has a name of its own in its host, it is signed for by another. */
const SIGNED_AS: Readonly<Record<string, string>> = {
  'bedrock-runtime': 'bedrock',
  'bedrock-agent-runtime': 'bedrock',
}
const OURS: readonly string[] = [HASH, 'x-amz-date', 'x-amz-security-token']

/** Whether all of a body has to be there before it is signed. S3 takes one that is only kept safe by the line. */
export function signsBody(at: URL): boolean {
  return scopeOf(at).service !== 's3'
}

/** What a request wears under AWS Signature Version 4: its service and its region are those of its host. */
export async function signed(asked: ToSign, key: SigningKey, now: Date): Promise<readonly Header[]> {
  const { method, url, at = url, headers = {} } = asked
  const scope = scopeOf(at)
  // Of what else is sent some is changed on its way out, and nothing of it has to be signed.
  const amazons = Object.entries(headers).filter(
    ([name]) => name.startsWith('x-amz-') && !OURS.includes(name),
  )
  const signer = new AwsV4Signer({
    ...scope,
    method,
    url: url.href,
    headers: [...amazons, [HASH, hashOf(asked, scope)]],
    accessKeyId: key.id,
    secretAccessKey: key.secret,
    ...(key.session === undefined ? {} : { sessionToken: key.session }),
    datetime: now.toISOString().replaceAll(/[:-]|\.\d{3}/g, ''),
  })
  const { headers: all } = await signer.sign()
  return [...all].filter(([name]) => name === 'authorization' || OURS.includes(name))
}

function scopeOf(at: URL): Scope {
  const { service, region } = new AwsV4Signer({ url: at.href, accessKeyId: '', secretAccessKey: '' })
  const isAmazons = /(^|\.)amazonaws\.com(\.cn)?$/.test(at.hostname)
  if (isAmazons && service !== '') return { service: SIGNED_AS[service] ?? service, region }
  throw new ValetkeyError(
    'invalid-request',
    `${at.hostname} is no service of AWS that a request can be signed for`,
  )
}

function hashOf({ body, headers = {} }: ToSign, { service }: Scope): string {
  const said = headers[HASH] ?? ''
  if (said === PIECES_NOT_SIGNED) return said
  if (said.startsWith('STREAMING-'))
    throw new ValetkeyError('invalid-request', 'every piece of this body is signed by its sender', {
      hint: 'send it whole, or in pieces that are not signed',
    })
  if (body !== undefined)
    return createHash('sha256')
      .update(body ?? '')
      .digest('hex')
  if (service === 's3') return NOT_SIGNED
  throw new ValetkeyError('invalid-request', 'this body is too long to be signed', {
    hint: 'send it in parts',
  })
}
