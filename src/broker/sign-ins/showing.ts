import type { Failure } from '#client'
import type { FlowSessionRow } from '../../model/storage.ts'
import type { FlowSession, FlowStep } from '../../model/words.ts'
import { showAccount } from '../accounts.ts'
import type { Kit } from '../kit.ts'
import { offersAnother, withReaction } from './failure.ts'
import { mayGoAnother, nextWay } from './order.ts'
import { CHOSEN, takeField, type WayTaken } from './sessions.ts'
import { noticeOf } from './vendor-policy.ts'

/** The session as a door sees it. */
export async function viewSession(kit: Kit, session: FlowSessionRow): Promise<FlowSession> {
  const { id, provider, bucket, flow, state, owner, accountId } = session
  const step = state === 'asking' ? await takeField(kit, session, 'step') : undefined
  const end = await takeField(kit, session, 'end')
  const account = state === 'done' && accountId ? await showAccount(kit, owner, accountId) : undefined
  const {
    failure: kept,
    receipt = null,
    way,
  } = end === undefined ? {} : JSON.parse(end.reveal(), reviveTimes)
  const failure = kept ? withReaction(kept) : null
  return {
    id,
    provider,
    bucket,
    flow,
    state,
    step: step === undefined ? null : readStep(step.reveal()),
    account: account ?? null,
    receipt,
    failure,
    ...(await wayOn(kit, session, failure, way)),
    expiresAt: new Date(session.expiresAt),
  }
}

/** Which ways were passed over for this one, and which is the next: while it goes on, and where it failed. */
async function wayOn(
  kit: Kit,
  session: FlowSessionRow,
  failure: Failure | null,
  ended: WayTaken | undefined,
): Promise<Pick<FlowSession, 'passedOver' | 'instead' | 'notice'>> {
  const { provider, flow, state } = session
  const text = state === 'asking' ? await takeField(kit, session, 'way') : undefined
  const { passedOver, noBrowser }: WayTaken =
    text === undefined ? (ended ?? CHOSEN) : JSON.parse(text.reveal())
  const signIn = kit.catalogue.find(provider ?? '')?.signIns.find((one) => one.flow === flow)
  const isOffered = state === 'asking' || (failure !== null && offersAnother(failure.code))
  const instead =
    provider !== null && isOffered && mayGoAnother(session)
      ? await nextWay(kit, { provider, flow }, { noBrowser })
      : null
  return { passedOver, instead, notice: signIn === undefined ? null : noticeOf(signIn) }
}

function readStep(text: string): FlowStep {
  return JSON.parse(text, (key, value) => {
    if (key === 'until') return new Date(value)
    return (key === 'url' || key === 'at' || key === 'whole') && typeof value === 'string'
      ? new URL(value)
      : value
  }) as FlowStep
}

function reviveTimes(key: string, value: unknown): unknown {
  return (key === 'at' || key === 'until') && typeof value === 'string' ? new Date(value) : value
}
