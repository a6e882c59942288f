import type { ProviderFile } from '../model/provider.ts'

/** The public client that is known here beforehand; it may come back to any port and path on loopback. */
export const PRACTICE_CLIENT_ID = 'valetkey-practice'

export const SCOPES = ['openid', 'profile', 'email', 'offline_access']

export function practiceFile(origin: URL): ProviderFile {
  return {
    id: 'practice',
    name: 'Practice provider',
    category: 'identity',
    hosts: [origin.host],
    // Without this word in the request OpenID Connect has `offline_access` ignored.
    oauth: { issuer: origin.origin, authorizeParams: { prompt: 'consent' } },
    registration: 'none',
    signIns: [
      {
        flow: 'authorization-code',
        scopes: SCOPES,
        present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
        verify: { url: `${origin.origin}/me`, subject: '/sub', displayName: '/name' },
      },
    ],
    programs: {
      token: ['PRACTICE_TOKEN'],
      baseUrl: { variables: ['PRACTICE_BASE_URL'] },
      key: ['PRACTICE_TOKEN'],
    },
    revoke: { how: 'rfc7009', alone: true },
  }
}
