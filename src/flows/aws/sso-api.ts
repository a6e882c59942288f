import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import type { Secret } from '../../model/secret.ts'
import { strictJson } from '../../protocol/strict-json.ts'
import type { Values } from '../filled/key-fields.ts'
import { askApi, type Heard, readAs } from '../issued/api-answer.ts'
import { temporary } from './sts-api.ts'

// IAM Identity Center speaks RFC 8628 and RFC 6749 in JSON, with the names of their fields in another spelling.

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code'
const SCOPES = ['sso:account:access']
const USUAL_INTERVAL = 5
const MOST_PAGES = 50

const client = z.object({
  clientId: z.string().min(1),
  clientSecret: z.string().min(1),
  clientSecretExpiresAt: z.number(),
})

const code = z.object({
  deviceCode: z.string().min(1),
  userCode: z.string().regex(/^[\x21-\x7e]{1,64}$/),
  verificationUri: z.url({ protocol: /^https$/ }),
  verificationUriComplete: z.url({ protocol: /^https$/ }).optional(),
  expiresIn: z.number().positive(),
  interval: z.number().positive().default(USUAL_INTERVAL),
})

const tokens = z.object({
  accessToken: z.string().min(1),
  expiresIn: z.number().positive(),
  refreshToken: z.string().min(1).optional(),
})

const account = z.object({ accountId: z.string().regex(/^\d{12}$/), accountName: z.string().optional() })
const role = z.object({ roleName: z.string().regex(/^[\w+=,.@-]{1,64}$/) })

const roleKeys = z.object({
  roleCredentials: z.object({
    accessKeyId: z.string().min(1),
    secretAccessKey: z.string().min(1),
    sessionToken: z.string().min(1),
    /** In milliseconds. */
    expiration: z.number(),
  }),
})

export type SsoClient = z.infer<typeof client>
type SsoCode = z.infer<typeof code>
type SsoTokens = z.infer<typeof tokens>
type SsoAccount = z.infer<typeof account>

/** Anybody may make a client there; it is good for some months. */
export async function registerClient(
  context: FlowContext,
  vars: Values,
  startUrl: string,
): Promise<SsoClient> {
  const heard = await post(context, vars, '/client/register', {
    clientName: 'Valetkey',
    clientType: 'public',
    scopes: SCOPES,
    grantTypes: [DEVICE, 'refresh_token'],
    issuerUrl: startUrl,
  })
  return readAs(client, wellSaid(heard))
}

export async function startCode(
  context: FlowContext,
  vars: Values,
  { clientId, clientSecret }: SsoClient,
  startUrl: string,
): Promise<SsoCode> {
  const heard = await post(context, vars, '/device_authorization', { clientId, clientSecret, startUrl })
  return readAs(code, wellSaid(heard))
}

/** Whether the code was entered: once it was, its tokens. */
export async function redeemCode(
  context: FlowContext,
  vars: Values,
  { clientId, clientSecret }: SsoClient,
  deviceCode: string,
): Promise<SsoTokens | 'pending' | 'slow-down'> {
  const heard = await post(context, vars, '/token', { clientId, clientSecret, grantType: DEVICE, deviceCode })
  if (heard.isWell) return readAs(tokens, strictJson(heard.answer.text))
  const { error } = heard.said
  if (error === 'authorization_pending') return 'pending'
  if (error === 'slow_down') return 'slow-down'
  if (error === 'expired_token') throw new ValetkeyError('flow-expired', 'the code was not entered in time')
  if (error === 'access_denied') throw new ValetkeyError('access-denied', 'access was denied at the provider')
  throw refusalOf(heard)
}

/** A fresh token for the refresh token, which is shown once. */
export async function renewTokens(
  context: FlowContext,
  vars: Values,
  { clientId, clientSecret }: Pick<SsoClient, 'clientId' | 'clientSecret'>,
  refreshToken: string,
): Promise<SsoTokens> {
  const grant = { clientId, clientSecret, grantType: 'refresh_token', refreshToken }
  const heard = await post(context, vars, '/token', grant)
  if (heard.isWell) return readAs(tokens, strictJson(heard.answer.text))
  throw OVER.has(String(heard.said['error'])) ? over() : refusalOf(heard)
}

/** Our client there ends by itself after some months, and all that it was given with it. */
const OVER: ReadonlySet<string> = new Set([
  'invalid_grant',
  'expired_token',
  'invalid_client',
  'unauthorized_client',
])

export function over(): ValetkeyError {
  return new ValetkeyError('access-revoked', 'the session at IAM Identity Center is over')
}

export async function accountsOf(
  context: FlowContext,
  vars: Values,
  token: Secret,
): Promise<readonly SsoAccount[]> {
  const page = z.object({ accountList: z.array(account), nextToken: z.string().nullish() })
  return allPages(async (next) => {
    const { accountList, nextToken } = readAs(
      page,
      await portal(context, vars, token, '/assignment/accounts', next),
    )
    return { some: accountList, nextToken }
  })
}

export async function rolesOf(
  context: FlowContext,
  vars: Values,
  token: Secret,
  accountId: string,
): Promise<readonly string[]> {
  const page = z.object({ roleList: z.array(role), nextToken: z.string().nullish() })
  return allPages(async (next) => {
    const said = await portal(context, vars, token, '/assignment/roles', { ...next, account_id: accountId })
    const { roleList, nextToken } = readAs(page, said)
    return { some: roleList.map(({ roleName }) => roleName), nextToken }
  })
}

export interface Role {
  readonly accountId: string
  readonly roleName: string
}

/** Keys that die, in a role of an account. */
export async function keysOf(
  context: FlowContext,
  vars: Values,
  token: Secret,
  { accountId, roleName }: Role,
): Promise<Credential> {
  const query = { account_id: accountId, role_name: roleName }
  const { roleCredentials: keys } = readAs(
    roleKeys,
    await portal(context, vars, token, '/federation/credentials', query),
  )
  const named = {
    AccessKeyId: keys.accessKeyId,
    SecretAccessKey: keys.secretAccessKey,
    SessionToken: keys.sessionToken,
    Expiration: new Date(keys.expiration),
  }
  return temporary(named, [])
}

/** Ends the session, and all tokens of it; keys of roles live until their own end. */
export async function logOut(context: FlowContext, vars: Values, token: Secret): Promise<void> {
  const url = placed(context, vars, 'https://portal.sso.{ssoRegion}.amazonaws.com/logout')
  const heard = await askApi(context, url, { method: 'POST', headers: bearing(token) })
  if (!heard.isWell && heard.answer.status !== 401) throw refusalOf(heard)
}

async function allPages<T>(
  page: (next: Readonly<Record<string, string>>) => Promise<{
    readonly some: readonly T[]
    readonly nextToken?: string | null | undefined
  }>,
): Promise<readonly T[]> {
  const all: T[] = []
  let next: Readonly<Record<string, string>> = {}
  for (let count = 0; count < MOST_PAGES; count += 1) {
    const { some, nextToken } = await page(next)
    all.push(...some)
    if (!nextToken) return all
    next = { next_token: nextToken }
  }
  return all
}

async function portal(
  context: FlowContext,
  vars: Values,
  token: Secret,
  path: string,
  query: Readonly<Record<string, string>>,
): Promise<unknown> {
  const url = placed(context, vars, `https://portal.sso.{ssoRegion}.amazonaws.com${path}`)
  url.search = new URLSearchParams(query).toString()
  const heard = await askApi(context, url, { method: 'GET', headers: bearing(token) })
  if (heard.isWell) return strictJson(heard.answer.text)
  if (heard.answer.status === 401)
    throw new ValetkeyError('invalid-token', 'IAM Identity Center does not accept this token any more')
  if (heard.answer.status === 403 || heard.answer.status === 404)
    throw new ValetkeyError('invalid-request', 'this role of this account is not for you at AWS')
  throw refusalOf(heard)
}

function bearing(token: Secret): Readonly<Record<string, string>> {
  return { 'x-amz-sso_bearer_token': token.reveal() }
}

async function post(context: FlowContext, vars: Values, path: string, json: object): Promise<Heard> {
  const url = placed(context, vars, `https://oidc.{ssoRegion}.amazonaws.com${path}`)
  const headers = { 'content-type': 'application/json' }
  return askApi(context, url, { method: 'POST', headers, body: JSON.stringify(json) })
}

function placed({ catalogue, provider }: FlowContext, vars: Values, link: string): URL {
  return catalogue.destination(provider, vars).place(link)
}

function wellSaid(heard: Heard): unknown {
  if (heard.isWell) return strictJson(heard.answer.text)
  throw refusalOf(heard)
}

function refusalOf({ answer, said }: Extract<Heard, { isWell: false }>): ValetkeyError {
  const { error } = said
  if (error === 'invalid_request' || answer.status === 404)
    return new ValetkeyError('invalid-credentials', 'IAM Identity Center does not know this start URL here', {
      hint: 'check the start URL and its region',
    })
  return new ValetkeyError(
    'bad-answer',
    `IAM Identity Center answered ${answer.status}, and does not say why`,
  )
}
