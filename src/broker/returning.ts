import { randomBytes } from 'node:crypto'
import { ERRORS, isErrorCode } from '#client'
import type { Ending } from '../model/callbacks.ts'
import type { Caller } from '../model/caller.ts'
import type { Provider, SignIn } from '../model/provider.ts'
import { Secret } from '../model/secret.ts'
import type { FlowSessionRow } from '../model/storage.ts'
import type { FlowSession } from '../model/words.ts'
import type { Kit } from './kit.ts'
import type { Return } from './sessions.ts'

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
  const wish = { host, port, path, state, until: new Date(session.expiresAt) }
  const open = await kit.callbacks.open(wish, async (url) =>
    endingOf(provider, await returned(kit, session, url)),
  )
  await stopWaiting(kit, session.id)
  kit.returning.set(session.id, open)
  return { redirectUri: open.redirectUri.href, state }
}

/** Nobody comes back to a sign-in that is over. */
export async function stopWaiting(kit: Kit, id: string): Promise<void> {
  await kit.returning.get(id)?.close()
  kit.returning.delete(id)
}

/** What the browser brought is the answer of whoever began the sign-in. */
async function returned(kit: Kit, session: FlowSessionRow, url: URL): Promise<FlowSession | undefined> {
  const caller: Caller = { id: session.caller, owner: session.owner, proof: { door: 'callback' } }
  const { answer, flow } = kit.desk(caller)
  const callback = new Secret(url.href)
  return answer(session.id, { callback }).catch(() => flow(session.id).catch(() => undefined))
}

function endingOf({ name: provider }: Provider, session: FlowSession | undefined): Ending {
  if (session?.state === 'done') return { done: true, provider, app: 'Valetkey' }
  const code = session?.failure?.code ?? ''
  const why = isErrorCode(code) ? ERRORS[code].says : 'The sign-in did not work out.'
  return { done: false, provider, app: 'Valetkey', words: `${why} Go back to Valetkey and try again.` }
}
