import { type Field, ValetkeyError } from '#client'
import type { Flow, FlowContext, FlowTurn, FlowYield } from '../model/flow.ts'
import type { Secret } from '../model/secret.ts'
import type { FlowAnswer } from '../model/words.ts'
import { readCallback } from '../protocol/callback.ts'
import { credentialOf, type Tokens } from './authorization-credential.ts'
import { endGrant } from './authorization-end.ts'
import { exchange } from './authorization-exchange.ts'
import { type Asking, memorySchema, type Visiting } from './authorization-memory.ts'
import { renew } from './authorization-renewal.ts'
import { prepare } from './authorization-request.ts'
import { type Found, knownValues, standingOf } from './authorization-server.ts'
import { filled } from './filled.ts'
import { ISSUED, issuedBefore } from './issued.ts'
import { openQuestions, varsOf } from './key-fields.ts'
import { recall, remember } from './memory.ts'

/**
 * The person's browser is sent to the provider and comes back with a code, which is redeemed for
 * tokens: OAuth 2.1 with PKCE, and OpenID Connect where the scope says so. Everything that an answer
 * must belong to is in the memory before the person leaves.
 */
export function authorizationCodeFlow(found: Found = { servers: new Map(), keys: new Map() }): Flow {
  return {
    id: 'authorization-code',
    nature: 'pure',
    comesBack: true,

    takes: [ISSUED],

    async begin(context) {
      const issued = issuedBefore(context)
      if (issued !== undefined) return { done: elsewhere(context, issued) }
      return setOut(context, { stage: 'asking', values: knownValues(context) }, found)
    },

    async next(context, memory, answer) {
      const held = recall(memorySchema, memory)
      if (answer === undefined) return held.stage === 'asking' ? ask(context, held) : send(held)
      return held.stage === 'asking'
        ? goOn(context, held, answer, found)
        : comeBack(context, held, memory, answer, found)
    },

    renews: ({ kept }) => kept['refreshToken'] !== undefined,
    refresh: (context, credential) => renew(context, credential, found),
    revoke: (context, credential) => endGrant(context, credential, found),
  }
}

/** What was issued to the same client by another way is renewed and ended as if it had been asked for here. */
function elsewhere(context: FlowContext, tokens: Tokens): FlowYield {
  const credential = credentialOf(tokens, context.signIn.scopes, standingOf(context).oauth, context.now())
  const vars = varsOf(context, knownValues(context))
  return { credential, profile: { subject: null, displayName: null, vars } }
}

/** What the provider's addresses need is asked first; then the person goes. */
async function setOut(context: FlowContext, held: Asking, found: Found): Promise<FlowTurn> {
  if (questions(context, held).some(({ optional }) => !optional)) return ask(context, held)
  return send(await prepare(context, held.values, found))
}

/** A value that cannot be part of an address is asked for again. */
async function goOn(context: FlowContext, held: Asking, answer: FlowAnswer, found: Found): Promise<FlowTurn> {
  const given = Object.fromEntries(filled(questions(context, held), answer))
  const values = { ...held.values, ...given }
  try {
    return await setOut(context, { stage: 'asking', values }, found)
  } catch (error) {
    if (!(error instanceof ValetkeyError) || error.code !== 'invalid-request') throw error
    return ask(context, { stage: 'asking', values: {}, why: { because: error.message, code: error.code } })
  }
}

/** The verifier dies with the exchange, however that ends: one attempt, one verifier. */
async function comeBack(
  context: FlowContext,
  held: Visiting,
  memory: Secret,
  answer: FlowAnswer,
  found: Found,
): Promise<FlowTurn> {
  if (!('callback' in answer))
    throw new ValetkeyError('invalid-request', 'the address the browser came back to is awaited here')
  if (context.now() > new Date(held.until))
    throw new ValetkeyError('flow-expired', 'the sign-in took longer than ten minutes', {
      hint: 'begin again',
    })
  const params = readCallback(answer.callback.reveal(), held)
  try {
    return { done: await exchange(context, held, params, found) }
  } finally {
    memory.forget()
  }
}

function send(held: Visiting): FlowTurn {
  const step = { ask: 'visit', url: new URL(held.url), until: new Date(held.until) } as const
  return { step, memory: remember(held) }
}

function ask(context: FlowContext, held: Asking): FlowTurn {
  const { why } = held
  const step = {
    ask: 'fill',
    fields: questions(context, held),
    ...why,
  } as const
  return { step, memory: remember(held) }
}

/** The provider's variables, without those that the browser will bring; unless they decide where it is sent. */
function questions(context: FlowContext, { values, why }: Asking): readonly Field[] {
  const { vars } = context.provider
  const captured = new Set(Object.values(context.signIn.captures))
  for (const { decided } of vars) if (decided) captured.delete(decided.by)
  const open = openQuestions(context, { values, why, mayKeep: false })
  return open.filter(({ name }) => !captured.has(name))
}
