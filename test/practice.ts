import type { Flow, FlowContext, FlowTurn } from '../src/model/flow.ts'
import type { ProviderFile } from '../src/model/provider.ts'
import { Secret } from '../src/model/secret.ts'
import { canary } from '../src/testing/canary.ts'

/** A provider whose tokens die. */
export const PRACTICE: ProviderFile = {
  id: 'practice',
  name: 'Practice',
  category: 'other',
  hosts: ['api.practice.test'],
  registration: 'none',
  signIns: [
    {
      flow: 'token',
      fields: [{ name: 'accessToken', label: 'Access token' }],
      present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
    },
  ],
  revoke: { how: 'console' },
}

/** What the next sign-in yields; a test changes it. */
export interface Issue {
  /** Null for a token that names no end. */
  lifeSeconds: number | null
  subject: string | null
  /** What was issued last. */
  token: string
  readonly kept: string
  /** What was ended at the provider. */
  readonly ended: string[]
  begin: (context: FlowContext) => Promise<FlowTurn>
}

/** A flow that is done at once, and yields a token that dies. */
export function tokenFlow(): { readonly flow: Flow; readonly issue: Issue } {
  const issue: Issue = {
    lifeSeconds: 3600,
    subject: null,
    token: '',
    kept: canary('refresh'),
    ended: [],
    begin: async ({ now }) => done(issue, now()),
  }
  const flow: Flow = {
    id: 'token',
    nature: 'pure',
    comesBack: false,
    begin: (context) => issue.begin(context),
    next: (context) => issue.begin(context),
    async revoke(_, { worn }) {
      issue.ended.push(worn['accessToken']?.reveal() ?? '')
      return [{ what: 'access token', died: true, how: 'ended at the provider' }]
    },
  }
  return { flow, issue }
}

function done(issue: Issue, now: Date): FlowTurn {
  const { lifeSeconds, subject, kept } = issue
  issue.token = canary('token')
  return {
    done: {
      credential: {
        worn: { accessToken: new Secret(issue.token) },
        kept: { refreshToken: new Secret(kept) },
        standing: false,
        expiresAt: lifeSeconds === null ? null : new Date(now.getTime() + lifeSeconds * 1000),
        scopes: ['read'],
        tokenType: 'Bearer',
      },
      profile: { subject, displayName: subject, vars: {} },
    },
  }
}
