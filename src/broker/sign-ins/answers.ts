import { Secret } from '../../model/secret.ts'
import type { FlowSessionRow } from '../../model/storage.ts'
import type { FlowAnswer, FlowSession, FlowStep } from '../../model/words.ts'
import { showAccount } from '../accounts.ts'
import type { Kit } from '../kit.ts'
import { withReaction } from './failure.ts'
import { takeField } from './sessions.ts'

// What passes between a session and the doors, as it is written into the session's sealed fields.

/** The session as a door sees it. */
export async function viewSession(kit: Kit, session: FlowSessionRow): Promise<FlowSession> {
  const { id, provider, bucket, flow, state, owner, accountId } = session
  const step = state === 'asking' ? await takeField(kit, session, 'step') : undefined
  const end = await takeField(kit, session, 'end')
  const account = state === 'done' && accountId ? await showAccount(kit, owner, accountId) : undefined
  const { failure, receipt = null } = end === undefined ? {} : JSON.parse(end.reveal(), reviveTimes)
  return {
    id,
    provider,
    bucket,
    flow,
    state,
    step: step === undefined ? null : readStep(step.reveal()),
    account: account ?? null,
    receipt,
    failure: failure ? withReaction(failure) : null,
    expiresAt: new Date(session.expiresAt),
  }
}

export function writeAnswer(answer: FlowAnswer): Secret {
  if ('callback' in answer) return new Secret(JSON.stringify({ callback: answer.callback.reveal() }))
  return new Secret(JSON.stringify({ fields: revealed(answer.fields) }))
}

export function readAnswer(text: string): FlowAnswer {
  const { callback, fields = {} } = JSON.parse(text) as { callback?: string; fields?: Record<string, string> }
  return callback === undefined ? { fields: secrets(fields) } : { callback: new Secret(callback) }
}

export function revealed(fields: Readonly<Record<string, Secret>>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).map(([name, secret]) => [name, secret.reveal()]))
}

export function secrets(fields: Readonly<Record<string, string>>): Record<string, Secret> {
  return Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, new Secret(text)]))
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
