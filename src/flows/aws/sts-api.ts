import { z } from 'zod'
import { type ErrorCode, ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import { type SigningKey, signed } from '../../protocol/sigv4.ts'
import type { Values } from '../filled/key-fields.ts'
import { askApi, type Heard, readAs, saidIn } from '../issued/api-answer.ts'

const VERSION = '2011-06-15'
const LINK = 'https://sts.{region}.amazonaws.com/'

/** It answers in XML, or in JSON to whoever asks for that; there a time is a number of seconds. */
const time = z.union([
  z.number().transform((seconds) => new Date(seconds * 1000)),
  z.iso.datetime().transform(dated),
])

const credentials = z.object({
  AccessKeyId: z.string().regex(/^[A-Z0-9]{16,128}$/),
  SecretAccessKey: z.string().min(1),
  SessionToken: z.string().min(1),
  Expiration: time,
})

const identity = z.object({ Arn: z.string().min(1), Account: z.string().regex(/^\d{12}$/) })

function dated(text: string): Date {
  return new Date(text)
}

/** Whose keys these are. */
export async function callerOf(
  context: FlowContext,
  vars: Values,
  key: SigningKey,
): Promise<z.infer<typeof identity>> {
  return readAs(identity, await asked(context, vars, key, { Action: 'GetCallerIdentity' }))
}

export type Session = Readonly<Record<string, string>> & { readonly Action: 'GetSessionToken' | 'AssumeRole' }

/** Keys that die, for those that do not. */
export async function sessionOf(
  context: FlowContext,
  key: SigningKey,
  session: Session,
  scopes: readonly string[],
): Promise<Credential> {
  const said = z.object({ Credentials: credentials })
  const { Credentials } = readAs(said, await asked(context, varsIn(context), key, session))
  return temporary(Credentials, scopes)
}

/** Three values and their end; whoever has them signs with them. */
export function temporary(
  { Expiration, ...keys }: z.infer<typeof credentials>,
  scopes: readonly string[],
): Credential {
  return {
    worn: Object.fromEntries(Object.entries(keys).map(([name, value]) => [name, new Secret(value)])),
    kept: {},
    standing: false,
    expiresAt: Expiration,
    scopes,
    tokenType: 'AWS4-HMAC-SHA256',
  }
}

export function keyOf({ worn }: Pick<Credential, 'worn'>): SigningKey {
  const [id, secret, session] = ['AccessKeyId', 'SecretAccessKey', 'SessionToken'].map((name) =>
    worn[name]?.reveal(),
  )
  if (id !== undefined && secret !== undefined) return { id, secret, session }
  throw new ValetkeyError('needs-reauth', 'the stored credential has no key to sign with')
}

function varsIn({ provider, known }: FlowContext): Values {
  return Object.fromEntries(
    provider.vars.flatMap(({ name }) => {
      const value = known[name]?.reveal()
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

async function asked(
  context: FlowContext,
  vars: Values,
  key: SigningKey,
  form: Readonly<Record<string, string>>,
): Promise<unknown> {
  const { provider, catalogue, now } = context
  const url = catalogue.destination(provider, vars).place(LINK)
  const region = vars['region'] ?? provider.vars.find(({ name }) => name === 'region')?.default ?? ''
  const at = new URL(LINK.replace('{region}', region))
  const body = new URLSearchParams({ Version: VERSION, ...form }).toString()
  const proof = await signed({ method: 'POST', url, at, body }, key, now())
  const type = 'application/x-www-form-urlencoded; charset=utf-8'
  const headers = { 'content-type': type, ...Object.fromEntries(proof) }
  const heard = await askApi(context, url, { method: 'POST', headers, body })
  if (!heard.isWell) throw refusalOf(heard)
  const { Action } = form
  const answered = saidIn(heard.answer)[`${Action}Response`]
  return readAs(z.record(z.string(), z.unknown()), answered)[`${Action}Result`]
}

const REFUSALS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  InvalidClientTokenId: ['invalid-credentials', 'AWS does not know this access key'],
  UnrecognizedClientException: ['invalid-credentials', 'AWS does not know this access key'],
  SignatureDoesNotMatch: ['invalid-credentials', 'AWS does not accept this secret access key'],
  IncompleteSignature: ['invalid-credentials', 'AWS does not accept this secret access key'],
  OptInRequired: ['refused-by-policy', 'the account of this key is not active at AWS'],
  ExpiredToken: ['invalid-token', 'this key of AWS has expired'],
  AccessDenied: ['invalid-request', 'AWS does not let this key do that'],
  MalformedPolicyDocument: ['invalid-request', 'AWS cannot make a policy of these scopes'],
  PackedPolicyTooLarge: ['invalid-request', 'these are more scopes than AWS takes at once'],
  ValidationError: ['invalid-request', 'AWS does not understand what is wished'],
  RegionDisabledException: ['invalid-request', 'this region is switched off in the account at AWS'],
  RequestExpired: ['bad-answer', 'AWS does not take the time of this computer'],
  RequestTimeTooSkewed: ['bad-answer', 'AWS does not take the time of this computer'],
  Throttling: ['rate-limited', 'AWS had too many requests'],
  ThrottlingException: ['rate-limited', 'AWS had too many requests'],
}

const refusal = z.object({ Error: z.object({ Code: z.string(), Message: z.string().optional() }) })

function refusalOf({ answer, said }: Extract<Heard, { isWell: false }>): ValetkeyError {
  // In XML it stands in an element of its own.
  const error = refusal.safeParse(said['ErrorResponse'] ?? said)
  const { Code = '', Message = '' } = error.data?.Error ?? {}
  // The same word stands for a clock that is wrong.
  if (Code === 'SignatureDoesNotMatch' && /signature (expired|not yet current)/i.test(Message))
    return new ValetkeyError('bad-answer', 'AWS does not take the time of this computer', {
      hint: 'set its clock',
    })
  const [code, message] = (Object.hasOwn(REFUSALS, Code) ? REFUSALS[Code] : undefined) ?? [
    'bad-answer',
    `AWS answered ${answer.status}, for a reason that is not known here`,
  ]
  return new ValetkeyError(code, message)
}
