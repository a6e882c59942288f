import { z } from 'zod'
import { type Desk, formatAddress, ValetkeyError } from '#client'
import { shownAnswer } from './answer.ts'
import { tool } from './tool.ts'
import { account, writtenAddress } from './words.ts'

const SHOWN_BYTES = 64 * 1024
/** The most that is sent, and the most that is shown. */
export const MOST_BYTES = 1024 * 1024
/** A client gives a call up after a minute; until then a stream is read for as long as it says something. */
const PATIENCE_MS = 50_000

/** By these a credential is carried. It is Valetkey that puts it on. */
const CARRIES_CREDENTIALS =
  /^(authorization|proxy-authorization|cookie|dpop|x-[\w-]*(key|token)|api-?key|[\w-]*secret[\w-]*)$/i

export const request = (desk: Desk) =>
  tool({
    name: 'request',
    title: 'Do a request',
    description: [
      'Does an HTTP request with an account, and answers with what came, where it is text.',
      'The credential is put on by Valetkey: send none.',
    ].join(' '),
    input: z.strictObject({
      account,
      method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']).default('GET'),
      path: z
        .string()
        .max(8192)
        .describe('Such as `/user/repos?per_page=5`, or a URL at a host of the provider'),
      headers: z.record(z.string().max(200), z.string().max(8192)).optional(),
      body: z.string().max(MOST_BYTES).optional(),
      json: z.unknown().optional().describe('A body that is sent as JSON'),
      purpose: z.string().max(200).optional().describe('What it is for. The owner may read it'),
      maxBytes: z
        .number()
        .int()
        .min(1)
        .max(MOST_BYTES)
        .default(SHOWN_BYTES)
        .describe('How much of it to show'),
    }),
    annotations: { readOnlyHint: false, destructiveHint: true, openWorldHint: true },
    async work({ account, method, path, purpose, maxBytes, ...said }, signal) {
      const address = formatAddress(writtenAddress(account))
      const answer = await desk.forward({
        address,
        method,
        path,
        blind: true,
        ...sent(method, said),
        signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
        ...(purpose !== undefined && { purpose }),
      })
      return { account: address, ...(await shownAnswer(answer, maxBytes)) }
    },
  })

interface Said {
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: string | undefined
  readonly json?: unknown
}

function sent(method: string, { headers = {}, body, json }: Said) {
  for (const name of Object.keys(headers)) if (CARRIES_CREDENTIALS.test(name)) throw notYours(name)
  if (body !== undefined && json !== undefined)
    throw new ValetkeyError('invalid-request', 'a request has a body or a json, not both')
  const said = json === undefined ? body : JSON.stringify(json)
  if (said === undefined) return { headers }
  if (method === 'GET' || method === 'HEAD')
    throw new ValetkeyError('invalid-request', `a ${method} has no body`)
  const typed = Object.keys(headers).some((name) => name.toLowerCase() === 'content-type')
  const type = json === undefined || typed ? {} : { 'content-type': 'application/json' }
  return { headers: { ...headers, ...type }, body: said }
}

function notYours(name: string): ValetkeyError {
  return new ValetkeyError('invalid-request', `the header ${name.toLowerCase()} is not yours to send`, {
    hint: 'leave it out: valetkey puts the credential of the account on the request',
  })
}
