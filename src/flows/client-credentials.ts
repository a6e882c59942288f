import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { Flow, FlowContext, FlowTurn } from '../model/flow.ts'
import type { FoundServers } from '../protocol/discovery.ts'
import type { Meaning } from '../protocol/trouble.ts'
import { end, issue, isWhole, knownBefore, renew } from './client-credentials-grant.ts'
import { filled } from './filled.ts'
import { openQuestions, type Values, varsOf, whySchema } from './key-fields.ts'
import { recall, remember } from './memory.ts'

const memorySchema = z.strictObject({
  values: z.record(z.string(), z.string()),
  why: whySchema.optional(),
})

type Memory = z.infer<typeof memorySchema>

const NOT_KNOWN: Meaning = ['invalid-credentials', 'the provider does not know this client']

/**
 * A program's own standing at a server, with no person behind it: the id of a client with its secret or its
 * private key is the credential, and a token is had for it as often as one is needed (RFC 6749 §4.4, RFC 7523).
 */
export function clientCredentialsFlow(found: FoundServers = new Map()): Flow {
  return {
    id: 'client-credentials',
    nature: 'pure',
    comesBack: false,
    endsAlone: true,
    ownClient: true,

    async begin(context) {
      const values = knownBefore(context)
      const open = openQuestions(context, { values, mayKeep: false })
      return open.some(({ optional }) => !optional) || !isWhole(values)
        ? ask(context, { values })
        : settle(context, values, found)
    },

    async next(context, memory, answer) {
      const held = recall(memorySchema, memory)
      if (answer === undefined) return ask(context, held)
      const given = filled(openQuestions(context, { ...held, mayKeep: false }), answer)
      return settle(context, { ...held.values, ...Object.fromEntries(given) }, found)
    },

    renews: ({ kept }) => kept['clientSecret'] !== undefined || kept['privateKey'] !== undefined,
    refresh: (context, { kept }) => renew(context, kept, found),
    revoke: (context, credential) => end(context, credential, found),
  }
}

async function settle(context: FlowContext, values: Values, found: FoundServers): Promise<FlowTurn> {
  if (!isWhole(values)) return ask(context, { values, why: NOTHING_TO_PROVE })
  try {
    const credential = await issue(context, values, found, NOT_KNOWN)
    const { clientId = '' } = values
    const profile = { subject: clientId, displayName: clientId, vars: varsOf(context, values) }
    return { done: { credential, profile } }
  } catch (error) {
    if (!(error instanceof ValetkeyError && ASKED_AGAIN.has(error.code))) throw error
    return ask(context, { values: {}, why: { because: error.message, code: error.code } })
  }
}

const ASKED_AGAIN: ReadonlySet<string> = new Set(['invalid-credentials', 'key-format', 'invalid-request'])
const NOTHING_TO_PROVE = {
  because: 'a client has a secret or a private key',
  code: 'invalid-credentials',
} as const

function ask(context: FlowContext, { values, why }: Memory): FlowTurn {
  const { console: at } = context.signIn
  const fields = openQuestions(context, { values, why, mayKeep: false })
  const step = { ask: 'fill', fields, ...why, ...(at === undefined ? {} : { at: new URL(at) }) } as const
  return { step, memory: remember({ values, ...(why && { why }) }) }
}
