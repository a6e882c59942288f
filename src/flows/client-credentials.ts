import type { ErrorCode } from '#client'
import type { Flow, FlowContext, FlowTurn } from '../model/flow.ts'
import type { FoundServers } from '../protocol/discovery.ts'
import type { Meaning } from '../protocol/trouble.ts'
import { end, issue, isWhole, renew, saidBeside } from './client-credentials/grant.ts'
import { askFor, byForm, whyOf } from './filled/form.ts'
import { type Values, varsOf } from './filled/key-fields.ts'

const NOT_KNOWN: Meaning = ['invalid-credentials', 'the provider does not know this client']
const NOT_SAID: Meaning = ['invalid-credentials', 'the provider refused this client without saying why']

/**
 * A program's own standing at a server, with no person behind it: the id of a client with its secret, its private
 * key or its certificate is the credential, and a token is had for it as often as one is needed (RFC 6749 §4.4,
 * RFC 7523, RFC 8705).
 */
export function clientCredentialsFlow(found: FoundServers = new Map()): Flow {
  return {
    id: 'client-credentials',
    label: 'a client of your own',
    nature: 'pure',
    comesBack: false,
    endsAlone: true,
    ownClient: true,
    forPrograms: true,

    ...byForm({ isWhole, settle: (context, values) => settle(context, values, found) }),

    renews: ({ kept }) => kept['clientId'] !== undefined,
    refresh: (context, { kept }) => renew(context, kept, found),
    revoke: (context, credential) => end(context, credential, found),
  }
}

async function settle(context: FlowContext, values: Values, found: FoundServers): Promise<FlowTurn> {
  if (!isWhole(context, values)) return askFor(context, { values, why: NOTHING_TO_PROVE, mayKeep: false })
  try {
    const credential = await issue(context, values, found, { refused: NOT_KNOWN, wordless: NOT_SAID })
    const { clientId = '' } = values
    const profile = {
      subject: clientId,
      displayName: clientId,
      vars: { ...varsOf(context, values), ...saidBeside(context, values) },
    }
    return { done: { credential, profile } }
  } catch (error) {
    return askFor(context, { values: {}, why: whyOf(error, ASKED_AGAIN), mayKeep: false })
  }
}

const ASKED_AGAIN: ReadonlySet<ErrorCode> = new Set(['invalid-credentials', 'key-format', 'invalid-request'])
const NOTHING_TO_PROVE = {
  because: 'a client has a secret, a private key, or a certificate with its private key',
  code: 'invalid-credentials',
} as const
