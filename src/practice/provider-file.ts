import type { ProviderFile } from '../model/provider.ts'

/** The public client that is known here beforehand; it may come back to any port and path on loopback. */
export const PRACTICE_CLIENT_ID = 'valetkey-practice'

/** The client that stands for a program of its own; its secret is another one each time. */
export const PROGRAM_CLIENT_ID = 'practice-program'

export const SCOPES = ['openid', 'profile', 'email', 'offline_access']

const PRESENT = [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }] as const

export function practiceFile(origin: URL): ProviderFile {
  const person = {
    scopes: [...SCOPES],
    present: [...PRESENT],
    verify: { url: `${origin.origin}/me`, subject: '/sub', displayName: '/name' },
  }
  return {
    id: 'practice',
    name: 'Practice provider',
    category: 'identity',
    hosts: [origin.host],
    // Without this word in the request OpenID Connect has `offline_access` ignored.
    oauth: { issuer: origin.origin, authorizeParams: { prompt: 'consent' } },
    registration: 'none',
    signIns: [
      { flow: 'authorization-code', ...person },
      { flow: 'device-code', ...person },
      {
        flow: 'client-credentials',
        fields: [
          { name: 'clientId', label: 'Client id', secret: false },
          { name: 'clientSecret', label: 'Client secret' },
        ],
        present: [...PRESENT],
        console: `${origin.origin}/practice`,
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
