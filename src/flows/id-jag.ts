import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { Flow, FlowContext, FlowTurn, Voucher } from '../model/flow.ts'
import type { Meaning } from '../protocol/trouble.ts'
import { endGrant } from './authorization/end.ts'
import { type Found, knownValues, serverAgain, serverOf, standingOf } from './authorization/server.ts'
import { filled } from './filled/filled.ts'
import { openQuestions, own, type Values, varsOf, whySchema } from './filled/key-fields.ts'
import { yieldedBy } from './id-jag/grant.ts'
import { recall, remember } from './memory.ts'

/** The field that says which account vouches. */
const FROM = 'from'

const memorySchema = z.strictObject({ values: z.record(z.string(), z.string()), why: whySchema.optional() })

type Memory = z.infer<typeof memorySchema>

const NOT_TAKEN: Meaning = [
  'exchange-failed',
  'the provider does not take the word of this identity provider for you',
  'ask whoever runs it whether they trust each other, and whether you are known there',
]
const OVER: Meaning = ['access-revoked', 'the provider no longer takes the word of the identity provider']

/**
 * An identity becomes a token without anybody being asked: the account at an identity provider vouches for its
 * owner at another provider (identity assertion authorization grant; enterprise-managed authorization of MCP).
 */
export function idJagFlow(found: Found = { servers: new Map(), keys: new Map() }): Flow {
  return {
    id: 'id-jag',
    label: 'an account at an identity provider',
    nature: 'pure',
    comesBack: false,

    begin: (context) => settle(context, knownValues(context), found),

    async next(context, memory, answer) {
      const held = recall(memorySchema, memory)
      if (answer === undefined) return ask(context, held)
      const given = filled(openQuestions(context, { ...held, mayKeep: false }), answer)
      return settle(context, { ...held.values, ...Object.fromEntries(given) }, found)
    },

    renews: ({ kept }) => kept['voucher'] !== undefined,
    refresh: (context, before) => renew(context, before, found),
    revoke: (context, credential) => endGrant(context, credential, found),
  }
}

async function settle(context: FlowContext, values: Values, found: Found): Promise<FlowTurn> {
  const from = own(values, FROM)
  if (from === undefined) return ask(context, { values })
  const vars = varsOf(context, values)
  const server = await serverOf(context, vars, found)
  try {
    const voucher = await voucherAt(context, from)
    const { credential, claims } = await yieldedBy(context, server, voucher, found, { refused: NOT_TAKEN })
    const email = typeof claims['email'] === 'string' ? claims['email'] : null
    return { done: { credential, profile: { subject: claims.sub, displayName: email, vars } } }
  } catch (error) {
    if (!(error instanceof ValetkeyError && ASKED_AGAIN.has(error.code))) throw error
    const { [FROM]: _, ...others } = values
    return ask(context, { values: others, why: { because: error.message, code: error.code } })
  }
}

/** There is no such account, or none that vouches for anybody. */
const ASKED_AGAIN: ReadonlySet<string> = new Set(['not-connected', 'invalid-request'])

function voucherAt({ voucherAt: at }: FlowContext, address: string): Promise<Voucher> {
  if (at !== undefined) return at(address)
  throw new ValetkeyError('not-allowed', 'no account may vouch for another one here')
}

/** The same again: nothing but the account that vouches is needed for it, and it is over when that is. */
async function renew(context: FlowContext, before: Credential, found: Found): Promise<Credential> {
  const { voucher: account } = before.kept
  if (account === undefined)
    throw new ValetkeyError('refresh-not-available', 'it is not known which account vouches for this one')
  const server = await serverAgain(context, found)
  const voucher = await voucherAt(context, account.reveal()).catch((error: unknown) => {
    throw error instanceof ValetkeyError && error.code === 'not-connected' ? gone() : error
  })
  const { credential } = await yieldedBy(context, server, voucher, found, {
    refused: OVER,
    before: before.kept,
  })
  const { scopes } = before
  const wornScopes = isSame(credential.scopes, scopes) ? {} : { wornScopes: credential.scopes }
  return { ...credential, scopes, ...wornScopes, kept: { ...before.kept, ...credential.kept } }
}

function gone(): ValetkeyError {
  return new ValetkeyError('access-revoked', 'the account that vouched for this one is gone')
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((scope) => others.includes(scope))
}

function ask(context: FlowContext, { values, why }: Memory): FlowTurn {
  standingOf(context)
  const fields = openQuestions(context, { values, why, mayKeep: false })
  return { step: { ask: 'fill', fields, ...why }, memory: remember({ values, ...(why && { why }) }) }
}
