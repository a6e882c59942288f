import type { z } from '@hono/zod-openapi'
import { HTTPException } from 'hono/http-exception'
import { ValetkeyError } from '#client'
import { problem } from '../../wire/problem.ts'

/** Tells a refusal of ours from an answer of a provider that was only forwarded. */
export const REFUSAL_HEADER = 'valetkey-error'

const AS_A_WORD = /^[a-z][a-zA-Z-]{0,23}$/

/** A refusal as an RFC 9457 document. A status of its own is for what only HTTP tells apart. */
export function refuse(error: unknown, status?: number): Response {
  const told = problem(error instanceof HTTPException ? misread(error) : error)
  const finalStatus = status ?? (error instanceof HTTPException ? error.status : told.status)
  return new Response(JSON.stringify({ ...told, status: finalStatus }), {
    status: finalStatus,
    headers: {
      'content-type': 'application/problem+json',
      [REFUSAL_HEADER]: told.code,
      ...(told.retryAfter === undefined ? {} : { 'retry-after': String(told.retryAfter) }),
    },
  })
}

/** An address or a method that no request can be made of, so that nothing of it is looked at. */
export function refuseMisaddressed({ method, url }: Request): Response | undefined {
  const read = URL.parse(url)
  if (read === null) return refuse(new ValetkeyError('invalid-request', 'the address cannot be read'))
  if (read.username !== '' || read.password !== '')
    return refuse(new ValetkeyError('invalid-request', 'an address names no user'))
  if (!['TRACE', 'TRACK', 'CONNECT'].includes(method.toUpperCase())) return undefined
  return refuse(new ValetkeyError('invalid-request', 'this method is not understood here'), 405)
}

/** What could not even be read as a request; of all else only that it is our own mistake. */
export function refuseUnread(error: unknown): Response {
  const unread = error instanceof Error && error.name === 'RequestError'
  return refuse(unread ? new ValetkeyError('invalid-request', 'the request cannot be read') : error)
}

/** The library's own refusals. What it has to say of them may quote the body, so it is not repeated. */
function misread(error: HTTPException): ValetkeyError {
  return error.status === 415
    ? new ValetkeyError('invalid-request', 'a body has to be application/json')
    : new ValetkeyError('invalid-request', 'the body is not well-formed json')
}

/** Says which field is wrong, and never what stood in it. */
export function misshapen({ issues }: z.ZodError): ValetkeyError {
  const [issue] = issues
  if (issue?.code === 'unrecognized_keys') {
    return new ValetkeyError(
      'invalid-request',
      `the request has a field that is not known: ${words(issue.keys)}`,
    )
  }
  const field = words(issue?.path.slice(0, 1).map(String) ?? [])
  return new ValetkeyError('invalid-request', `the request's ${field || 'body'} is not as it should be`)
}

/** A name that came with the request is repeated only when it cannot be a secret. */
function words(names: readonly string[]): string {
  return names.map((name) => (AS_A_WORD.test(name) ? name : '(unnamed)')).join(', ')
}
