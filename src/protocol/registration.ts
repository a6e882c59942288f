import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { Client } from '../model/flow.ts'
import type { Network } from '../model/network.ts'
import type { OAuth } from '../model/provider.ts'
import { Secret } from '../model/secret.ts'
import { type Answer, ask, refuseTrouble } from './ask.ts'
import { clientAuthOf, isSafe, type Server } from './server.ts'
import { strictObject } from './strict-json.ts'

/** What we want to be at a server. */
export interface RegistrationWish {
  readonly name: string
  readonly redirectUris: readonly URL[]
  readonly scopes: readonly string[]
  /** How we would show a secret, where the server has no place for clients without one. */
  readonly clientAuth?: OAuth['clientAuth']
}

/** What the server made of us, and how the registration is managed (RFC 7592) where it lets us. */
export interface Registered extends Client {
  readonly secretExpiresAt: Date | null
  readonly management: { readonly uri: string; readonly token: Secret } | undefined
}

const registeredSchema = z.object({
  client_id: z.string().min(1).max(2000),
  client_secret: z.string().min(1).optional(),
  client_secret_expires_at: z.number().optional(),
  redirect_uris: z.array(z.string()).optional(),
  token_endpoint_auth_method: z.string().optional(),
  registration_access_token: z.string().min(1).optional(),
  registration_client_uri: z.string().optional(),
})

/** Registers a client of ours (RFC 7591). Throws `provider-not-configured` where the server does not want one. */
export async function register(
  network: Network,
  server: Server,
  wish: RegistrationWish,
): Promise<Registered> {
  if (server.register === undefined) throw refused('the provider registers no clients by itself')
  const body = JSON.stringify(wishInWords(server, wish))
  const headers = { 'content-type': 'application/json', accept: 'application/json' }
  const answer = await ask(network, new URL(server.register), { method: 'POST', headers, body })
  refuseTrouble(answer)
  if (answer.status !== 201 && answer.status !== 200)
    throw refused('the provider did not register this client')
  return judgeRegistered(server, server.register, answer, wish)
}

/** Gives the registration back. False where the server keeps no way to, or did not take it. */
export async function unregister(
  network: Network,
  { management }: Pick<Registered, 'management'>,
): Promise<boolean> {
  if (management === undefined) return false
  const headers = { authorization: `Bearer ${management.token.reveal()}` }
  const answer = await ask(network, new URL(management.uri), { method: 'DELETE', headers })
  return answer.status === 204 || answer.status === 404
}

/** RFC 7591 §2. A native client says so, or a server may refuse its loopback address. */
function wishInWords(server: Server, { name, redirectUris, scopes, clientAuth }: RegistrationWish) {
  const native = redirectUris.every(({ protocol }) => protocol === 'http:')
  return {
    client_name: name,
    redirect_uris: redirectUris.map(({ href }) => href),
    application_type: native ? 'native' : 'web',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: askedFor(server, clientAuth),
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
  }
}

/** A server may change what was asked for; what we could not live with is refused here. */
function judgeRegistered(
  server: Server,
  endpoint: string,
  answer: Answer,
  wish: RegistrationWish,
): Registered {
  const read = registeredSchema.safeParse(
    answer.type === 'application/json' ? strictObject(answer.text) : undefined,
  )
  if (!read.success) throw new ValetkeyError('bad-answer', 'the provider does not say how it registered us')
  const said = read.data
  const { redirect_uris: uris, token_endpoint_auth_method: method = unsaid(server, wish) } = said
  if (uris && wish.redirectUris.some(({ href }) => !uris.includes(href)))
    throw refused('the provider registered another address to come back to')
  const secret = method === 'none' ? undefined : said.client_secret
  if (method !== 'none' && method !== inWords(server, wish.clientAuth))
    throw refused('the provider wants its clients to prove themselves in a way that is not known here')
  if (method !== 'none' && secret === undefined) throw refused('the provider gave its client no secret')
  return {
    clientId: said.client_id,
    clientSecret: secret === undefined ? undefined : new Secret(secret),
    secretExpiresAt: said.client_secret_expires_at ? new Date(said.client_secret_expires_at * 1000) : null,
    management: managementOf(endpoint, said),
  }
}

/** The standard's own way, where nothing else was said; but not at a server that does not take it. */
function unsaid(server: Server, { clientAuth }: RegistrationWish): string {
  const usual = 'client_secret_basic'
  return server.clientAuth?.includes(usual) === false ? askedFor(server, clientAuth) : usual
}

function askedFor(server: Server, clientAuth: OAuth['clientAuth'] | undefined): string {
  return server.clientAuth?.includes('none') ? 'none' : inWords(server, clientAuth)
}

function inWords(server: Server, declared: OAuth['clientAuth'] = 'basic'): string {
  const way = clientAuthOf(server, declared)
  if (way === 'basic' || way === 'post') return `client_secret_${way}`
  if (way === 'none') return way
  throw refused('the provider wants its clients to prove themselves by a key, which is registered by hand')
}

/** The token that manages a registration goes back to the place that issued it, and to no other. */
function managementOf(
  endpoint: string,
  { registration_client_uri: uri, registration_access_token: token }: z.infer<typeof registeredSchema>,
): Registered['management'] {
  if (uri === undefined || token === undefined || !isSafe(uri)) return undefined
  return new URL(uri).origin === new URL(endpoint).origin ? { uri, token: new Secret(token) } : undefined
}

function refused(message: string): ValetkeyError {
  return new ValetkeyError('provider-not-configured', message, {
    hint: 'register a client by hand, and give its id here',
  })
}
