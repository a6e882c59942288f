import { z } from 'zod'
import type { ProviderFile } from '../model/provider.ts'
import { ISSUED } from './judge-oauth.ts'
import { shaped } from './shaped.ts'
import { unusable } from './unusable.ts'

// Other programs describe a provider in fewer words. What they leave open is filled in so that a
// credential goes nowhere that the file or the person did not name.

const address = z
  .string()
  .regex(
    /^(https:\/\/[^\s/]|http:\/\/127\.0\.0\.1(:\d{1,5})?(\/|$))\S*$/,
    'must be an address that begins with https://',
  )

const client = {
  authUrl: address.optional(),
  authorizationUrl: address.optional(),
  tokenUrl: address.optional(),
  clientId: z.string().optional(),
  /** An empty one is none; any other was refused by now. */
  clientSecret: z.literal('').optional(),
  redirectUri: z.string().optional(),
  scopes: z.union([z.array(z.string()), z.string()]).optional(),
  /** PKCE is used in any case. */
  requiresPKCE: z.boolean().optional(),
}

const spelled = z.strictObject({
  $schema: z.string().optional(),
  id: z.string().optional(),
  name: z.string().optional(),
  category: z.string().optional(),
  hosts: z.array(z.string()).optional(),
  ...client,
  oauth: z.strictObject(client).optional(),
  credentials: z.strictObject({ apiKey: z.literal('').optional() }).optional(),
})

type Spelled = z.infer<typeof spelled>
type SignInFile = ProviderFile['signIns'][number]

const ENDPOINTS = ['authUrl', 'authorizationUrl', 'tokenUrl']
const CLIENT = Object.keys(client) as (keyof typeof client)[]
const OTHERS = [...ENDPOINTS, 'clientId', 'redirectUri', 'requiresPKCE', 'credentials']

/** The same provider in the words of our schema; whatever is in them already, or in no words known, as it is. */
export function inOurSpelling(file: string, value: unknown): unknown {
  if (!isObject(value)) return value
  refuseSecrets(file, value)
  return isForeign(value) ? translated(file, shaped(file, spelled, value)) : value
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isForeign(value: Readonly<Record<string, unknown>>): boolean {
  if (Object.hasOwn(value, 'signIns')) return false
  const { oauth } = value
  const inside = isObject(oauth) && ENDPOINTS.some((name) => Object.hasOwn(oauth, name))
  return inside || OTHERS.some((name) => Object.hasOwn(value, name))
}

/** A file is read by editors, backups and version control, so what would be a secret there is not used. */
function refuseSecrets(file: string, value: Readonly<Record<string, unknown>>): void {
  const { oauth, credentials } = value
  const id = typeof value['id'] === 'string' ? value['id'] : '<id>'
  for (const part of [value, oauth])
    for (const name of ['clientSecret', 'client_secret'])
      if (isObject(part) && part[name])
        throw unusable(file, `${name} is a secret, and no secret lies in a file`, `valetkey register ${id}`)
  const name = isObject(credentials) && Object.keys(credentials).find((key) => credentials[key])
  if (name)
    throw unusable(
      file,
      `credentials.${name} is a secret, and no secret lies in a file`,
      `leave it empty ("") and run valetkey connect ${id}`,
    )
}

function translated(file: string, said: Spelled): unknown {
  const { $schema: _, category = 'other', hosts, credentials } = said
  const { name = said.id, id = slugOf(name) } = said
  if (!id) throw unusable(file, 'id is missing')
  const oauth = { ...said, ...said.oauth }
  const byBrowser = CLIENT.some((field) => oauth[field] !== undefined)
  const server =
    byBrowser || credentials === undefined ? serverOf(file, oauth, said.oauth ? 'oauth.' : '') : undefined
  const signIns = [...(server ? [browserSignIn(file, oauth)] : []), ...(credentials ? [KEY_SIGN_IN] : [])]
  const place = placeOf(hosts, server?.token)
  const registration = server === undefined ? 'none' : oauth.clientId === undefined ? 'yours' : 'shipped'
  const revoke = { how: 'console' }
  return { id, name, category, ...place, ...(server && { oauth: server }), registration, signIns, revoke }
}

function slugOf(name = ''): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}

function serverOf(file: string, said: Omit<Spelled, 'oauth'>, at: string) {
  const { authorizationUrl, authUrl, tokenUrl: token, clientId } = said
  const authorize = authorizationUrl ?? authUrl
  if (authorize === undefined)
    throw unusable(file, `${at}authorizationUrl is missing, the address that a browser is sent to`)
  if (token === undefined)
    throw unusable(file, `${at}tokenUrl is missing, the address at which a code is redeemed`)
  return { authorize, token, ...(clientId !== undefined && { clientId }) }
}

function browserSignIn(file: string, { scopes = [], redirectUri }: Omit<Spelled, 'oauth'>): SignInFile {
  const all = typeof scopes === 'string' ? scopes.split(/[\s,]+/).filter(Boolean) : scopes
  if (all.includes('openid'))
    throw unusable(
      file,
      'scopes name openid, and then an issuer has to be known',
      'write the file in the words of provider.schema.json, with oauth.issuer, or use valetkey connect oidc',
    )
  return {
    flow: 'authorization-code',
    scopes: all,
    present: [{ header: 'authorization', prefix: 'Bearer ', field: ISSUED }],
    ...(redirectUri !== undefined && { redirect: redirectOf(file, redirectUri) }),
  }
}

const KEY_SIGN_IN: SignInFile = {
  flow: 'api-key',
  fields: [{ name: 'apiKey', label: 'API key' }],
  present: [{ header: 'authorization', prefix: 'Bearer ', field: 'apiKey' }],
}

/** Where the credential may go: as the file says; else to whoever issued it; else where the person says. */
function placeOf(hosts: readonly string[] | undefined, token: string | undefined) {
  if (hosts !== undefined) return { hosts }
  if (token !== undefined) return { hosts: [new URL(token).host] }
  const hint = 'such as api.example.com; the key goes nowhere else'
  const pattern = '[a-z0-9-]+(\\.[a-z0-9-]+)+'
  return { vars: [{ name: 'host', label: 'Host of the API', pattern, hint }], hosts: ['{host}'] }
}

/** The browser comes back to this computer, so another place could never be reached. */
function redirectOf(file: string, redirectUri: string): SignInFile['redirect'] {
  const url = URL.parse(redirectUri)
  const host = url?.hostname
  const here = url?.protocol === 'http:' && (host === '127.0.0.1' || host === 'localhost')
  const usable = here && url.search + url.hash + url.username + url.password === ''
  const port = Number(url?.port || 0)
  if (usable && (port === 0 || port >= 1024)) return { host, path: url.pathname, ...(port > 0 && { port }) }
  throw unusable(
    file,
    'redirectUri must be an address on this computer, such as http://127.0.0.1:8080/callback',
  )
}
