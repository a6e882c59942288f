import { ValetkeyError } from '#client'
import type { Credential } from '../src/model/credential.ts'
import type { Flow, FlowContext } from '../src/model/flow.ts'
import { Secret } from '../src/model/secret.ts'
import { canary } from '../src/testing/canary.ts'
import { tokenFlow } from './practice.ts'

const DAY_MS = 24 * 60 * 60_000

/** A provider of many grants, each renewed with another refresh token each time. A test changes it. */
export interface Grants {
  lifeSeconds: number
  /** After how many days a grant is over: whatever is done, and when nobody renews it. */
  dies: number | null
  idle: number | null
  /** How often each grant was asked to be renewed, in the order in which they were connected. */
  readonly asked: number[]
  readonly inAll: number
  /** The most that were asked for at the same moment. */
  most: number
  /** Comes before an answer; what it throws is the answer. */
  meanwhile: (grant: number) => Promise<void>
  /** What was issued last of a grant is not known to the provider any more. */
  lose(grant: number): void
}

export function manyGrants(): { readonly flow: Flow; readonly grants: Grants } {
  const { flow } = tokenFlow()
  const live = new Map<string, number>()
  let underWay = 0
  const grants: Grants = {
    lifeSeconds: 3600,
    dies: null,
    idle: null,
    asked: [],
    most: 0,
    meanwhile: async () => {},
    get inAll() {
      return grants.asked.reduce((sum, times) => sum + times, 0)
    },
    lose: (grant) => {
      for (const [token, of] of live) if (of === grant) live.delete(token)
    },
  }

  function issued(grant: number, now: number, before: Partial<Credential> = {}) {
    const refreshToken = canary('refresh')
    live.set(refreshToken, grant)
    const { lifeSeconds, dies, idle } = grants
    return {
      ...before,
      worn: { accessToken: new Secret(canary('token')) },
      kept: { refreshToken: new Secret(refreshToken) },
      expiresAt: new Date(now + lifeSeconds * 1000),
      grantEndsAt: before.grantEndsAt ?? (dies === null ? null : new Date(now + dies * DAY_MS)),
      idleEndsAt: idle === null ? null : new Date(now + idle * DAY_MS),
    }
  }

  async function begin(context: FlowContext) {
    const turn = await flow.begin(context)
    if (!('done' in turn) || !('credential' in turn.done)) throw new Error('it is done at once')
    const grant = grants.asked.push(0) - 1
    const credential = { ...turn.done.credential, ...issued(grant, context.now().getTime()) }
    return { done: { ...turn.done, credential } }
  }

  async function refresh({ now }: FlowContext, credential: Credential): Promise<Credential> {
    const token = credential.kept['refreshToken']?.reveal() ?? ''
    const grant = live.get(token)
    if (grant === undefined) throw new ValetkeyError('access-revoked', 'it is not known')
    grants.asked[grant] = (grants.asked[grant] ?? 0) + 1
    underWay += 1
    grants.most = Math.max(grants.most, underWay)
    try {
      await grants.meanwhile(grant)
    } finally {
      underWay -= 1
    }
    live.delete(token)
    return { ...credential, ...issued(grant, now().getTime(), credential) }
  }

  const renews = ({ kept }: Credential) => kept['refreshToken'] !== undefined
  return { grants, flow: { ...flow, begin, next: begin, renews, refresh } }
}
