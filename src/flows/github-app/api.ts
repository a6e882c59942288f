import { SignJWT } from 'jose'
import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { FlowContext } from '../../model/flow.ts'
import type { Wish } from '../../model/mint.ts'
import { signingKey } from '../../protocol/signing-key.ts'
import { strictJson } from '../../protocol/strict-json.ts'
import type { Values } from '../filled/key-fields.ts'
import { askApi, type Heard, readAs } from '../issued/api-answer.ts'

/** GitHub takes one for ten minutes at most, and counts from a clock that may be a little behind. */
const BEGINS_SECONDS_AGO = 60
const LIVES_SECONDS = 9 * 60

const MEDIA = {
  accept: 'application/vnd.github+json',
  'x-github-api-version': '2022-11-28',
  'content-type': 'application/json',
} as const

/** A client that is the person's own: by its number and its key it says who it is. */
export interface App {
  readonly appId: string
  readonly privateKey: string
}

const installation = z.object({
  id: z.int().positive(),
  account: z.object({ login: z.string().min(1) }),
})

export type Installation = z.infer<typeof installation>

const LEVELS = ['read', 'write', 'admin'] as const
const permissions = z.record(z.string(), z.enum(LEVELS))

export type Permissions = z.infer<typeof permissions>

const issued = z.object({
  token: z.string().min(1),
  expires_at: z.iso.datetime({ offset: true }),
  permissions,
  repositories: z.array(z.object({ name: z.string() })).optional(),
})

export type IssuedToken = z.infer<typeof issued>

/** Where the app is installed. */
export async function installationsOf(
  context: FlowContext,
  vars: Values,
  app: App,
): Promise<readonly Installation[]> {
  const heard = await askAsApp(context, vars, app, { method: 'GET', path: '/app/installations?per_page=100' })
  return readAs(z.array(installation), wellSaid(heard, 'invalid-credentials'))
}

export interface Less {
  readonly permissions?: Permissions
  readonly repositories?: readonly string[]
}

/** A token for what the app may do there, or for less. It lives for an hour. */
export async function issueToken(
  context: FlowContext,
  vars: Values,
  app: App & { readonly installationId: string },
  less: Less = {},
): Promise<IssuedToken> {
  const path = `/app/installations/${app.installationId}/access_tokens`
  const heard = await askAsApp(context, vars, app, { method: 'POST', path, json: less })
  return readAs(issued, wellSaid(heard, 'access-revoked'))
}

/** Undefined where it was dead already. */
export async function endToken(context: FlowContext, vars: Values, token: string): Promise<boolean> {
  const headers = { ...MEDIA, authorization: `Bearer ${token}` }
  const heard = await askApi(context, addressOf(context, vars, '/installation/token'), {
    method: 'DELETE',
    headers,
  })
  if (!heard.isWell && heard.answer.status !== 401)
    throw new ValetkeyError('exchange-failed', 'the provider refused to end it')
  return heard.isWell
}

interface Question {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly json?: object
}

async function askAsApp(context: FlowContext, vars: Values, app: App, { method, path, json }: Question) {
  const authorization = `Bearer ${await assertion(app, context.now())}`
  return askApi(context, addressOf(context, vars, path), {
    method,
    headers: { ...MEDIA, authorization },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  })
}

/** The app says who it is. */
async function assertion({ appId, privateKey }: App, now: Date): Promise<string> {
  const key = signingKey(privateKey)
  if (key.algorithm.name !== 'RSASSA-PKCS1-v1_5') throw noKeyOfAnApp()
  const seconds = Math.floor(now.getTime() / 1000)
  return new SignJWT({})
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
    .setIssuer(appId)
    .setIssuedAt(seconds - BEGINS_SECONDS_AGO)
    .setExpirationTime(seconds + LIVES_SECONDS)
    .sign(key)
    .catch(() => {
      throw noKeyOfAnApp()
    })
}

function noKeyOfAnApp(): ValetkeyError {
  return new ValetkeyError('key-format', 'this is no key of a GitHub App', {
    hint: 'the file of RSA that GitHub gave when the key was made',
  })
}

/** GitHub's own API has a host to itself; a GitHub Enterprise Server has it below a path. */
function addressOf({ catalogue, provider, known }: FlowContext, vars: Values, path: string): URL {
  const usual = provider.vars.find(({ name }) => name === 'host')?.default
  const host = vars['host'] ?? known['host']?.reveal() ?? usual ?? ''
  const below = host.startsWith('api.') ? '' : '/api/v3'
  return catalogue.destination(provider, { ...vars, host }).place(`https://{host}${below}${path}`)
}

function wellSaid(heard: Heard, unauthorized: 'invalid-credentials' | 'access-revoked'): unknown {
  if (heard.isWell) return strictJson(heard.answer.text)
  throw refusalOf(heard, unauthorized)
}

function refusalOf(
  { answer, said }: Extract<Heard, { isWell: false }>,
  unauthorized: 'invalid-credentials' | 'access-revoked',
) {
  const message = typeof said['message'] === 'string' ? said['message'] : ''
  // A clock that is wrong ends nothing: what is said then is about one of the claims.
  if (answer.status === 401 && /claim/i.test(message))
    return new ValetkeyError('bad-answer', 'GitHub does not take the time of this computer', {
      hint: 'set its clock',
    })
  if (answer.status === 401)
    return new ValetkeyError(unauthorized, 'GitHub does not know this key of the app')
  if (answer.status === 404)
    return new ValetkeyError(unauthorized, 'the app is not installed there, or is not known at all')
  if (answer.status === 422)
    return new ValetkeyError(
      'invalid-request',
      'the app may not do all of this there, or has no such repository',
    )
  if (answer.status !== 403)
    return new ValetkeyError('bad-answer', `GitHub answered ${answer.status}, which says nothing of the app`)
  if (answer.retryAfter !== undefined || /rate limit/i.test(message))
    return new ValetkeyError('rate-limited', 'GitHub had too many requests', {
      ...(answer.retryAfter !== undefined && { retryAfter: answer.retryAfter }),
    })
  return new ValetkeyError('refused-by-policy', 'GitHub does not give the app a token at the moment', {
    hint: 'see whether its installation is suspended there',
  })
}

/** `contents:read` and the like, as GitHub has them. */
export function scopesOf(granted: Permissions): readonly string[] {
  return Object.entries(granted)
    .map(([name, level]) => `${name}:${level}`)
    .toSorted()
}

/** Throws `invalid-request` for what is no permission of an app. */
export function permissionsOf(scopes: NonNullable<Wish['scopes']>): Permissions {
  return Object.fromEntries(
    scopes.map((scope) => {
      const [, name = '', level] = /^([a-z_]+):(read|write|admin)$/.exec(scope) ?? []
      const known = LEVELS.find((one) => one === level)
      if (known !== undefined) return [name, known] as const
      throw new ValetkeyError('invalid-request', 'this is no permission of a GitHub App', {
        hint: 'write contents:read, issues:write and the like',
      })
    }),
  )
}

/** Whether what was given covers what was asked, and is no more than that. */
export function isAtMost(given: Permissions, asked: Permissions): boolean {
  const rank = (level: (typeof LEVELS)[number] | undefined) =>
    level === undefined ? -1 : LEVELS.indexOf(level)
  // Every token may see that a repository is there.
  const beyond = Object.entries(given).some(([name, level]) => {
    const most = asked[name] ?? (name === 'metadata' ? 'read' : undefined)
    return rank(level) > rank(most)
  })
  return !beyond && Object.entries(asked).every(([name, level]) => rank(given[name]) >= rank(level))
}
