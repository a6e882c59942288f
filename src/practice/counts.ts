import type Provider from 'oidc-provider'
import type { Grants } from './grants.ts'

/** How often each thing happened, for whoever wants to know what a client really did. */
export interface Counts {
  /** Requests to begin a sign-in. */
  authorizations: number
  allowed: number
  denied: number
  /** Answers of the token endpoint that held a token; refreshes are among them. */
  tokens: number
  refreshes: number
  /** Requests that the token endpoint refused. */
  refused: number
  userinfos: number
  revocations: number
  introspections: number
  registrations: number
  /** Codes that were given to devices. */
  devices: number
  /** Questions of devices whether their code was entered. */
  polls: number
  /** Those that came sooner than the device had been told. */
  hurried: number
  /** Those that came although it was over. */
  belated: number
  /** How often a device was told to slow down. */
  slowed: number
  /** Requests that came while the provider was down. */
  unavailable: number
}

export function newCounts(): Counts {
  return {
    authorizations: 0,
    allowed: 0,
    denied: 0,
    tokens: 0,
    refreshes: 0,
    refused: 0,
    userinfos: 0,
    revocations: 0,
    introspections: 0,
    registrations: 0,
    devices: 0,
    polls: 0,
    hurried: 0,
    belated: 0,
    slowed: 0,
    unavailable: 0,
  }
}

const ROUTES: Readonly<Record<string, keyof Counts>> = {
  authorization: 'authorizations',
  userinfo: 'userinfos',
  revocation: 'revocations',
  introspection: 'introspections',
  registration: 'registrations',
}

/** Counts what the provider answered, not what it was merely asked. */
export function countAnswers(provider: Provider, counts: Counts, grants: Grants): void {
  provider.use(async (ctx, next) => {
    await next()
    const what = ROUTES[ctx.oidc?.route ?? '']
    if (what !== undefined && ctx.status < 400) counts[what] += 1
  })
  provider.on('grant.error', (_, { error }) => {
    if (error !== 'authorization_pending') counts.refused += 1
  })
  provider.on('grant.success', ({ oidc: { params, entities } }) => {
    counts.tokens += 1
    if (params?.['grant_type'] !== 'refresh_token') return
    counts.refreshes += 1
    grants.refreshed(entities.Grant?.jti)
  })
}
