import { ValetkeyError } from '#client'
import type { Credential, Profile } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import type { Exchange } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import { refuseTrouble } from '../../protocol/ask.ts'
import { textAt } from '../../protocol/pointer.ts'
import { strictObject } from '../../protocol/strict-json.ts'
import { type Found, knownValues } from '../authorization/server.ts'
import type { Values } from '../filled/key-fields.ts'
import { shown } from '../issued/person.ts'
import { askProvider } from '../issued/provider-request.ts'
import { asKnown, meantBy } from '../issued/told-values.ts'
import { type ByRequest, type Got, tradeByRequest } from './request.ts'
import { tradeAtServer } from './token.ts'

// What is kept of it. A token that is shown to be renewed is kept as well as worn: what can be had again is
// written down nowhere else.
export const BASE = 'baseToken'
const BASE_UNTIL = 'baseUntil'
const WORN = 'wornToken'
const WORN_UNTIL = 'wornUntil'
const RENEWABLE_FROM = 'renewableFrom'
const OURS: readonly string[] = [BASE, BASE_UNTIL, WORN, WORN_UNTIL, RENEWABLE_FROM]

const USUAL_SECONDS = 3600
/** What was issued first is renewed before it is shown this shortly before its end. */
const MARGIN_MS = 60_000

/** What was issued, and what is known by now of the provider's addresses. */
export interface Tradable {
  readonly credential: Credential
  readonly vars: Values
}

export interface Traded extends Tradable {
  /** Whose it is, where what was issued first told. */
  readonly whose?: Pick<Profile, 'subject' | 'displayName'> | undefined
}

/** Whether this is what came of an exchange, and is renewed by one. */
export function isTraded({ kept }: Pick<Credential, 'kept'>): boolean {
  return kept[BASE] !== undefined || kept[WORN] !== undefined
}

/** The same as it is worn, also where only the copy of it is left that is kept. */
export function asWorn(credential: Credential): Credential {
  const { worn, kept } = credential
  const token = worn['accessToken'] ?? kept[WORN]
  return token === undefined ? credential : { ...credential, worn: { ...worn, accessToken: token } }
}

/** What was issued, traded in at once where its provider wants that. */
export async function tradedIn(context: FlowContext, issued: Tradable): Promise<Traded> {
  const { exchange } = context.signIn
  if (exchange === undefined) return issued
  const known = { ...context, provider: asKnown(context, issued.vars) }
  const got = await trade(known, exchange, issued, { servers: new Map(), keys: new Map() }).catch(atSignIn)
  const credential = succeeding(context, exchange, issued.credential, baseOf(issued.credential), got)
  const whose = 'request' in exchange ? await ownerOf(known, exchange, issued) : undefined
  return { credential, vars: { ...issued.vars, ...toldVars(context, exchange, got) }, whose }
}

/** Nothing is over that only began. */
function atSignIn(error: unknown): never {
  if (!(error instanceof ValetkeyError) || error.code !== 'access-revoked') throw error
  throw new ValetkeyError('exchange-failed', 'the provider gives nothing for what it just issued')
}

/**
 * A fresh credential for one that was traded in: by what was issued first, which is renewed before where it has
 * to be, or by showing what is worn now.
 */
export async function tradedAgain(
  context: FlowContext,
  before: Credential,
  found: Found,
  renewBase: (base: Credential) => Promise<Credential>,
): Promise<Credential> {
  const { exchange } = context.signIn
  if (exchange === undefined || !isTraded(before))
    throw new ValetkeyError('refresh-not-available', 'there is nothing to renew this access with')
  return isAgain(exchange)
    ? againByBase(context, exchange, before, found, renewBase)
    : againByWorn(context, exchange, before, found)
}

function isAgain(exchange: Exchange): boolean {
  return 'how' in exchange || exchange.renew === 'again'
}

async function againByBase(
  context: FlowContext,
  exchange: Exchange,
  before: Credential,
  found: Found,
  renewBase: (base: Credential) => Promise<Credential>,
): Promise<Credential> {
  const first = firstOf(before)
  if (!isToBeRenewed(first, context.now())) return traded(context, exchange, before, first, found)
  const base = await renewBase(first)
  // Its refresh token may be another one now: whatever becomes of the rest, that is not given up.
  return traded(context, exchange, before, base, found).catch((error: unknown) => {
    if (!(error instanceof ValetkeyError) || error.code === 'access-revoked') throw error
    return {
      ...before,
      kept: { ...before.kept, ...base.kept, ...baseOf(base) },
      expiresAt: endOf(before, context),
    }
  })
}

async function traded(
  context: FlowContext,
  exchange: Exchange,
  before: Credential,
  base: Credential,
  found: Found,
): Promise<Credential> {
  const got = await trade(context, exchange, { credential: base, vars: knownValues(context) }, found)
  return { ...succeeding(context, exchange, base, baseOf(base), got), scopes: before.scopes }
}

/** What was issued first, as it was before anything came of it. */
function firstOf(before: Credential): Credential {
  const token = before.kept[BASE]
  const until = before.kept[BASE_UNTIL]
  return {
    ...before,
    worn: token === undefined ? {} : { accessToken: token },
    kept: without(before.kept, OURS),
    expiresAt: until === undefined ? null : new Date(until.reveal()),
  }
}

function isToBeRenewed({ kept, expiresAt }: Credential, now: Date): boolean {
  const isRenewable = kept['refreshToken'] !== undefined
  return isRenewable && expiresAt !== null && expiresAt.getTime() - now.getTime() <= MARGIN_MS
}

/** While nobody can be reached what is still alive goes on being worn, also where only the kept one is left. */
async function againByWorn(
  context: FlowContext,
  exchange: Exchange,
  before: Credential,
  found: Found,
): Promise<Credential> {
  const shownNow = stillWorn(before, context)
  const from = before.kept[RENEWABLE_FROM]
  if (from !== undefined && context.now() < new Date(from.reveal())) return shownNow
  const asked = { credential: shownNow, vars: knownValues(context) }
  try {
    return succeeding(context, exchange, before, {}, await trade(context, exchange, asked, found, true))
  } catch (error) {
    const isAlive = shownNow.expiresAt !== null && shownNow.expiresAt > context.now()
    const isLost = before.worn['accessToken'] === undefined
    if (isLost && isAlive && error instanceof ValetkeyError && error.retryable) return shownNow
    throw error
  }
}

function stillWorn(before: Credential, context: FlowContext): Credential {
  const token = before.kept[WORN]
  return {
    ...before,
    worn: token === undefined ? before.worn : { accessToken: token },
    expiresAt: endOf(before, context),
  }
}

function endOf({ kept, expiresAt }: Credential, { now }: FlowContext): Date {
  const until = kept[WORN_UNTIL]
  return until === undefined ? (expiresAt ?? now()) : new Date(until.reveal())
}

function trade(
  context: FlowContext,
  exchange: Exchange,
  asked: Tradable,
  found: Found,
  isRenewal = false,
): Promise<Got> {
  if ('how' in exchange) return tradeAtServer(context, exchange, asked, found)
  const { request, renew } = exchange
  const by = isRenewal && renew !== 'again' ? renew : request
  return tradeByRequest(context, exchange, by, asked)
}

/** What is worn from now on. When the grant is over is when there is nothing left to renew it with. */
function succeeding(
  context: FlowContext,
  exchange: Exchange,
  base: Credential,
  baseKept: Credential['kept'],
  { token, seconds, scopes }: Got,
): Credential {
  const now = context.now()
  const { wornScopes: _, ...lasting } = base
  const declared = 'request' in exchange ? exchange.seconds : undefined
  const life = seconds ?? declared ?? context.provider.oauth?.accessSeconds ?? USUAL_SECONDS
  const expiresAt = later(now, life)
  const kept = without(base.kept, OURS)
  const worn = { accessToken: new Secret(token) }
  const rest = { worn, expiresAt, standing: false, tokenType: 'Bearer' }
  const narrower = scopes === undefined || scopes.length === 0 ? {} : { wornScopes: scopes }
  if (isAgain(exchange))
    return { ...lasting, ...rest, ...narrower, kept: { ...kept, ...baseKept }, ...endsOf(base) }
  const wait = 'request' in exchange ? exchange.renewableAfterSeconds : undefined
  const copy = {
    [WORN]: worn.accessToken,
    [WORN_UNTIL]: new Secret(expiresAt.toISOString()),
    ...(wait === undefined ? {} : { [RENEWABLE_FROM]: new Secret(later(now, wait).toISOString()) }),
  }
  return { ...lasting, ...rest, kept: { ...kept, ...copy }, grantEndsAt: null, idleEndsAt: expiresAt }
}

/** Without anything to renew it with, what was issued first ends the grant with itself. */
function endsOf({ kept, expiresAt, grantEndsAt = null, idleEndsAt = null }: Credential) {
  return kept['refreshToken'] === undefined
    ? { grantEndsAt: expiresAt, idleEndsAt: null }
    : { grantEndsAt, idleEndsAt }
}

function baseOf({ worn, expiresAt }: Credential): Credential['kept'] {
  const token = worn['accessToken']
  if (token === undefined) throw new ValetkeyError('bad-answer', 'the provider issued nothing to trade in')
  return {
    [BASE]: token,
    ...(expiresAt === null ? {} : { [BASE_UNTIL]: new Secret(expiresAt.toISOString()) }),
  }
}

function toldVars({ provider }: FlowContext, exchange: Exchange, { told = {} }: Got): Values {
  const names = 'request' in exchange ? Object.entries(exchange.told) : []
  return Object.fromEntries(
    names.flatMap(([at, name]) => {
      const said = Object.hasOwn(told, at) ? told[at] : undefined
      return said === undefined ? [] : [[name, meantBy(provider, name, said)]]
    }),
  )
}

/** Asked with what was issued first: what came of it may be good for nothing of the kind. */
async function ownerOf(context: FlowContext, { whose }: ByRequest, { credential, vars }: Tradable) {
  if (whose === undefined) return undefined
  const answer = await askProvider(context, whose.request, { vars, credential })
  refuseTrouble(answer)
  const said = answer.status === 200 ? strictObject(answer.text) : {}
  const subject = textAt(said, whose.subject)
  if (!subject) throw new ValetkeyError('exchange-failed', 'the provider does not say whose account this is')
  return { subject, displayName: shown(textAt(said, whose.displayName)) ?? null }
}

function without(kept: Credential['kept'], names: readonly string[]): Credential['kept'] {
  return Object.fromEntries(Object.entries(kept).filter(([name]) => !names.includes(name)))
}

function later(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1000)
}
