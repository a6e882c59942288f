import { ValetkeyError } from '#client'
import type { Client } from '../../model/flow.ts'
import type { Provider, SignIn } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import type { FlowSessionRow } from '../../model/storage.ts'
import type { FlowAnswer } from '../../model/words.ts'
import { broughtAlong, findRegistered, issuerAt, listAlong, type Registered } from '../clients/clients.ts'
import { registerByDocument, registerOnTheSpot } from '../clients/registering.ts'
import type { Kit } from '../kit.ts'
import { asksOf, comingBackTo, filledIn, ownRedirect } from './redirects.ts'
import { awaitReturn } from './returning.ts'
import { type Known, putField, type Return, takeField } from './sessions.ts'
import { signInOf } from './sign-ins.ts'

type Vars = Readonly<Record<string, string>>

/** A resource may want more another day, so its client is not tied to what it wants today. */
const NOT_SAID: readonly string[] = []

/** Whether the person's browser is at the provider already: then nothing about the way back may change. */
export async function isAway(kit: Kit, session: FlowSessionRow): Promise<boolean> {
  const step = await takeField(kit, session, 'step')
  return step !== undefined && JSON.parse(step.reveal()).ask === 'visit'
}

/**
 * Before the person can be sent away there has to be a client of ours, and an address to come back to.
 * While it is not known yet which server it is, the flow asks for that first.
 */
export async function readyToLeave(
  kit: Kit,
  session: FlowSessionRow,
  provider: Provider,
  known: Known,
): Promise<Known> {
  const ready = await withReturn(kit, session, provider, known)
  await putField(kit, session, 'known', new Secret(JSON.stringify(ready)))
  return ready
}

/** What was answered says which server it is; what was answered last counts. */
export function withAnswered(known: Known, { vars }: Provider, given: FlowAnswer | undefined): Known {
  if (given === undefined || !('fields' in given)) return known
  const { fields } = given
  const answered = vars.flatMap(({ name }) => {
    const value = Object.hasOwn(fields, name) ? fields[name]?.reveal().trim() : undefined
    return value ? [[name, value]] : []
  })
  return { ...known, answered: Object.fromEntries(answered) }
}

async function withReturn(
  kit: Kit,
  session: FlowSessionRow,
  provider: Provider,
  known: Known,
  again = false,
): Promise<Known> {
  const signIn = signInOf(kit, provider, session.flow)
  const isOwn = kit.flows.get(session.flow)?.ownClient === true
  if (isOwn || (provider.oauth === undefined && known.ownServer === undefined))
    return { ...known, back: await awaitReturn(kit, session, provider, signIn) }
  const vars = { ...known.fields, ...known.answered }
  const issuer = known.ownServer ?? issuerAt(kit, provider, vars)
  if (issuer === undefined) return known
  const registered = await findRegistered(kit, issuer)
  if (registered !== undefined && !isOver(kit, registered))
    return { ...known, back: await comeBackTo(kit, session, provider, registered, vars) }
  if (known.ownServer !== undefined) throw noClient(provider, vars)
  const client = broughtAlong(kit, provider)
  if (client !== undefined) {
    await listAlong(kit, provider, issuer, client)
    return { ...known, back: await awaitReturn(kit, session, provider, asRegistered(signIn, client)) }
  }
  if (provider.registration !== 'dynamic' || provider.oauth === undefined) throw noClient(provider, vars)
  const instead = registered?.row
  if (!again && (await registerByDocument(kit, session, provider, { issuer, instead })))
    return withReturn(kit, session, provider, known, true)
  const back = await awaitReturn(kit, session, provider, onItsOwnPath(provider, signIn, vars))
  const scopes = provider.oauth.resource === undefined ? signIn.scopes : NOT_SAID
  const wish = { issuer, redirectUri: back.redirectUri, scopes, instead }
  const made = await registerOnTheSpot(kit, session, provider, wish).catch((error: unknown) => {
    throw asNoClient(error, provider, vars)
  })
  if (made) return { ...known, back }
  // Somebody else was faster, and one registration is enough for all; but nobody is asked over and over.
  if (again) throw new ValetkeyError('conflict', 'another client was registered at the same moment')
  return withReturn(kit, session, provider, known, true)
}

/** The provider gave the secret for a time, and that is over. */
function isOver(kit: Kit, { row, terms: { secretExpiresAt } }: Registered): boolean {
  return row.how === 'dynamic' && secretExpiresAt !== undefined && new Date(secretExpiresAt) <= kit.now()
}

async function comeBackTo(
  kit: Kit,
  session: FlowSessionRow,
  provider: Provider,
  { row, client }: Registered,
  vars: Vars,
): Promise<Return> {
  const signIn = signInOf(kit, provider, session.flow)
  if (client.redirectUri === undefined) {
    const own = filledIn(ownRedirect(provider, signIn), provider, vars)
    return awaitReturn(kit, session, provider, comingBackTo(signIn, own))
  }
  const same = asRegistered(signIn, client)
  return awaitReturn(kit, session, provider, same).catch((error: unknown) => {
    if (row.how !== 'dynamic' || !(error instanceof ValetkeyError) || error.code !== 'port-taken') throw error
    // RFC 8252 §7.3: on loopback the port may be another one each time.
    return awaitReturn(kit, session, provider, { ...same, redirect: portless(same) })
  })
}

function asRegistered(signIn: SignIn, { redirectUri }: Client): SignIn {
  return redirectUri === undefined ? signIn : comingBackTo(signIn, redirectUri.href)
}

/** A path for this server alone, at any port that is free. */
function onItsOwnPath(provider: Provider, signIn: SignIn, vars: Vars): SignIn {
  const { redirect } = comingBackTo(signIn, filledIn(ownRedirect(provider, signIn), provider, vars))
  return { ...signIn, redirect: redirect && { ...redirect, port: signIn.redirect?.port } }
}

function portless({ redirect }: SignIn): SignIn['redirect'] {
  return redirect && { ...redirect, port: undefined }
}

export function noClient(provider: Provider, vars: Vars, why?: string): ValetkeyError {
  const told = asksOf(provider).map(({ name }) => ` --var ${name}=${vars[name] ?? '…'}`)
  return new ValetkeyError(
    'provider-not-configured',
    why ?? `${provider.name} is signed in to by a client of your own, and there is none yet`,
    { hint: `valetkey register ${provider.id}${told.join('')} --client-id … --secret-stdin < secret.txt` },
  )
}

/** A server that registers nobody by itself leaves it to the person; what may pass is only told. */
function asNoClient(error: unknown, provider: Provider, vars: Vars): unknown {
  const refused = error instanceof ValetkeyError && error.code === 'provider-not-configured'
  return refused ? noClient(provider, vars, error.message) : error
}
