import { ValetkeyError } from '#client'
import type { Flow, FlowContext, FlowTurn } from '../model/flow.ts'
import type { Secret } from '../model/secret.ts'
import type { FlowAnswer } from '../model/words.ts'
import { readCallback } from '../protocol/callback.ts'
import { exchange } from './authorization/exchange.ts'
import { memorySchema, type Visiting } from './authorization/memory.ts'
import { prepare } from './authorization/request.ts'
import { stillGood } from './authorization/sending.ts'
import type { Found } from './authorization/server.ts'
import { refuseForged } from './authorization/signed.ts'
import { beforehand } from './filled/beforehand.ts'
import { afterChoice } from './issued/after-issue.ts'
import { ofAGrant } from './issued/grant.ts'
import { comingLater, isSentTo } from './issued/told-values.ts'
import { recall, remember } from './memory.ts'

/**
 * The person's browser is sent to the provider and comes back with a code, which is redeemed for
 * tokens: OAuth 2.1 with PKCE, and OpenID Connect where the scope says so. Everything that an answer
 * must belong to is in the memory before the person leaves.
 */
export function authorizationCodeFlow(found: Found = { servers: new Map(), keys: new Map() }): Flow {
  const asked = beforehand(toldLater, async (context, values) => send(await prepare(context, values, found)))
  return {
    id: 'authorization-code',
    label: 'the browser',
    comesBack: true,
    ...ofAGrant(found, asked.begin),

    async next(context, memory, answer) {
      const held = recall(memorySchema, memory)
      if (held.stage === 'choosing') return afterChoice(context, held, answer)
      if (held.stage === 'asking') return asked.next(context, held, answer)
      return answer === undefined
        ? send(await stillGood(context, held))
        : comeBack(context, held, memory, answer, found)
    },
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
  refuseForged(context, params)
  try {
    return await exchange(context, held, params, found)
  } finally {
    memory.forget()
  }
}

function send(held: Visiting): FlowTurn {
  const until = new Date(held.pushedUntil ?? held.until)
  const step = { ask: 'visit', url: new URL(held.url), until } as const
  return { step, memory: remember(held) }
}

/** What nobody is asked for, unless it decides where the browser is sent. */
function toldLater({ provider, signIn }: FlowContext): readonly string[] {
  const decides = new Set(provider.vars.map(({ decided }) => decided?.by))
  return comingLater(signIn).filter((name) => !decides.has(name) && !isSentTo(provider, name))
}
