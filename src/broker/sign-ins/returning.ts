import { randomBytes } from 'node:crypto'
import type { Failure, FlowSessionState } from '#client'
import type { Ending } from '../../model/callbacks.ts'
import type { Caller } from '../../model/caller.ts'
import type { Provider, SignIn } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import type { FlowSessionRow } from '../../model/storage.ts'
import type { Kit } from '../kit.ts'
import { failureOf } from './failure.ts'
import { type Return, stopWaiting } from './sessions.ts'

const STATE_BYTES = 32

/**
 * Opens the place that the person's browser will come back to, for as long as the session lives. One
 * that dies with its broker is no loss: what the browser brings can be pasted.
 */
export async function awaitReturn(
  kit: Kit,
  session: FlowSessionRow,
  provider: Provider,
  signIn: SignIn,
): Promise<Return> {
  const state = `${session.id}.${randomBytes(STATE_BYTES).toString('base64url')}`
  const { host = '127.0.0.1', port, path } = signIn.redirect ?? {}
  const wish = {
    provider: provider.id,
    flow: session.id,
    host,
    port,
    path,
    state,
    until: new Date(session.expiresAt),
  }
  const open = await kit.callbacks.open(wish, (url) => returned(kit, session, provider, url))
  await stopWaiting(kit, session.id)
  kit.returning.set(session.id, open)
  return { redirectUri: open.redirectUri.href, state }
}

/**
 * What the browser brought is the answer of whoever began the sign-in. Undefined where it did not
 * belong to it, and the sign-in goes on as if nobody had come.
 */
async function returned(
  kit: Kit,
  session: FlowSessionRow,
  provider: Provider,
  url: URL,
): Promise<Ending | undefined> {
  const caller: Caller = { id: session.caller, owner: session.owner, proof: { door: 'callback' } }
  const { answer, flow } = kit.desk(caller)
  try {
    const { state, failure } = await answer(session.id, { callback: new Secret(url.href) })
    return endingOf(provider, state, failure)
  } catch (error) {
    const now = await flow(session.id).catch(() => undefined)
    return now?.state === 'asking'
      ? undefined
      : endingOf(provider, now?.state, now?.failure ?? failureOf(error))
  }
}

function endingOf({ name }: Provider, state: FlowSessionState | undefined, failure: Failure | null): Ending {
  if (state === 'asking') return { done: false, asks: true, provider: name }
  return { done: state === 'done', provider: name, ...(failure !== null && { failure }) }
}
