import { type ErrorCode, type Field, ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { Flow, FlowContext, FlowTurn } from '../model/flow.ts'
import type { FoundServers } from '../protocol/discovery.ts'
import { renewalAnswer } from '../protocol/renewal-answer.ts'
import { tokenAnswer } from '../protocol/token-answer.ts'
import type { Meaning } from '../protocol/trouble.ts'
import { blankless } from './filled/filled.ts'
import { askFor, byForm, knownBefore, whyOf } from './filled/form.ts'
import { type Entered, openQuestions, own, type Values, varsOf } from './filled/key-fields.ts'
import { end, issue, oauthOf, revealed, scopesOf } from './jwt-bearer/grant.ts'
import { DOCUMENT, hasKey, PARTS } from './jwt-bearer/key.ts'

/** RFC 7523 §3.1 has one word for whatever is wrong with the key. */
const NOT_KNOWN: Meaning = ['invalid-credentials', 'the provider does not accept this key']
const OVER: Meaning = ['access-revoked', 'the provider no longer accepts this key']
const NOT_ALLOWED: Meaning = [
  'refused-by-policy',
  'the provider does not give this account what it asks for',
  'see which scopes it may have there, and in whose place it may act',
]
const POLICY_WORDS = ['unauthorized_client', 'access_denied', 'invalid_scope', 'admin_policy_enforced']
const BY_POLICY = Object.fromEntries(POLICY_WORDS.map((word) => [word, NOT_ALLOWED]))

/**
 * An account that is no person's: its key signs what it asks for, and a token is had for that as often as one is
 * needed (RFC 7523 §2.1).
 */
export function jwtBearerFlow(found: FoundServers = new Map()): Flow {
  return {
    id: 'jwt-bearer',
    label: 'a key file',
    nature: 'pure',
    comesBack: false,
    takes: PARTS,
    endsAlone: true,
    ownClient: true,
    forPrograms: true,

    ...byForm({ known, asks, settle: (context, values) => settle(context, values, found) }),

    renews: ({ kept }) => hasKey(revealed(kept)),
    refresh: (context, credential) => renew(context, credential, found),
    revoke: async (context, credential) => end(context, credential),
  }
}

function known(context: FlowContext): Values {
  const parts = PARTS.map((name) => [name, blankless(name, own(context.known, name))] as const)
  return { ...knownBefore(context), ...Object.fromEntries(parts.filter(([, value]) => value !== '')) }
}

async function settle(context: FlowContext, values: Values, found: FoundServers): Promise<FlowTurn> {
  const meanings = { ...BY_POLICY, invalid_grant: NOT_KNOWN }
  try {
    const judge = tokenAnswer({ ...oauthOf(context), idToken: false })
    const scopes = scopesOf(context, values)
    const { credential, key } = await issue(context, { values, scopes, judge, meanings }, found)
    const subject = own(values, 'subject')
    const displayName = subject === undefined ? key.issuer : `${subject}, by ${key.issuer}`
    const profile = { subject: subject ?? key.issuer, displayName, vars: varsOf(context, values) }
    return { done: { credential, profile } }
  } catch (error) {
    return askFor(context, { values: {}, why: whyOf(error, ASKED_AGAIN), mayKeep: false }, asks)
  }
}

const ASKED_AGAIN: ReadonlySet<ErrorCode> = new Set([
  'invalid-credentials',
  'key-format',
  'invalid-request',
  'refused-by-policy',
])

/** The same again, with what is kept and for what was granted. */
async function renew(context: FlowContext, before: Credential, found: FoundServers): Promise<Credential> {
  const kept = revealed(before.kept)
  if (!hasKey(kept))
    throw new ValetkeyError('refresh-not-available', 'the key that a token is had for is not there')
  const judge = renewalAnswer(oauthOf(context))
  const meanings = { ...BY_POLICY, invalid_grant: OVER }
  const values = { ...known(context), ...kept }
  const wish = { values, scopes: before.scopes, judge, meanings }
  return (await issue(context, wish, found)).credential
}

/** Whoever gave the parts of a key has given it. */
function asks(context: FlowContext, entered: Entered): readonly Field[] {
  const open = openQuestions(context, entered)
  return hasKey(entered.values) ? open.filter(({ name }) => name !== DOCUMENT) : open
}
