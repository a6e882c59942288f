import { ValetkeyError } from '#client'
import type { Credential } from '../src/model/credential.ts'
import type { Flow, FlowContext } from '../src/model/flow.ts'
import { Secret } from '../src/model/secret.ts'
import { canary } from '../src/testing/canary.ts'
import { openTestHouse, type TestHouse } from './house.ts'
import { PRACTICE, tokenFlow } from './practice.ts'

/** A provider that renews, each time with another refresh token, and takes none twice. A test changes it. */
export interface Upstream {
  lifeSeconds: number | null
  /** Every renewal that was asked for. */
  asked: number
  /** Comes before an answer; what it throws is the answer. */
  meanwhile: (context: FlowContext) => Promise<void>
  /** What was issued last. */
  token: string
  kept: string
  /** The access tokens that were ended here. */
  readonly ended: string[]
}

/** The same flow as `tokenFlow`, whose tokens can be renewed. */
export function renewingFlow(): { readonly flow: Flow; readonly upstream: Upstream } {
  const { flow, issue } = tokenFlow()
  const upstream: Upstream = {
    lifeSeconds: 3600,
    asked: 0,
    meanwhile: async () => {},
    token: '',
    kept: '',
    ended: issue.ended,
  }

  function issued(before: Credential, { now }: FlowContext): Credential {
    upstream.token = canary('token')
    upstream.kept = canary('refresh')
    const { lifeSeconds } = upstream
    return {
      ...before,
      worn: { accessToken: new Secret(upstream.token) },
      kept: { refreshToken: new Secret(upstream.kept) },
      expiresAt: lifeSeconds === null ? null : new Date(now().getTime() + lifeSeconds * 1000),
    }
  }

  return {
    upstream,
    flow: {
      ...flow,
      async begin(context) {
        const turn = await flow.begin(context)
        if (!('done' in turn) || !('credential' in turn.done)) throw new Error('it is done at once')
        return { done: { ...turn.done, credential: issued(turn.done.credential, context) } }
      },
      renews: ({ kept }) => kept['refreshToken'] !== undefined,
      async refresh(context, credential) {
        upstream.asked += 1
        const known = credential.kept['refreshToken']?.reveal() === upstream.kept
        const fresh = known ? issued(credential, context) : undefined
        await upstream.meanwhile(context)
        if (fresh === undefined) throw new ValetkeyError('access-revoked', 'it was used before')
        return fresh
      },
    },
  }
}

/** A house in which such a provider is connected. */
export async function renewingHouse(): Promise<{ readonly house: TestHouse; readonly upstream: Upstream }> {
  const { flow, upstream } = renewingFlow()
  const house = await openTestHouse({ flows: [flow], providers: [PRACTICE] })
  await house.owner.connect({ provider: 'practice' })
  return { house, upstream }
}
