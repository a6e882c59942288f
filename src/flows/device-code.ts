import { ValetkeyError } from '#client'
import type { Flow, FlowContext, FlowTurn } from '../model/flow.ts'
import { credentialOf, type Tokens } from './authorization/credential.ts'
import { type Found, standingOf } from './authorization/server.ts'
import { look } from './device-code/asking.ts'
import { keyOf, later, memorySchema, type Waiting, waiting } from './device-code/memory.ts'
import { prepare } from './device-code/request.ts'
import { beforehand } from './filled/beforehand.ts'
import { afterChoice, afterIssue } from './issued/after-issue.ts'
import { askedAfter } from './issued/asked-after.ts'
import { bindTo, boundBy } from './issued/bound.ts'
import { ofAGrant } from './issued/grant.ts'
import { isOpenId, signedIn } from './issued/signed-in.ts'
import { comingLater } from './issued/told-values.ts'
import { recall } from './memory.ts'

/** RFC 8628 §3.5: from then on for every question. */
const SLOWER_SECONDS = 5
const LONGEST_SECONDS = 60

/**
 * The person enters a code at the provider, on whatever device they like, and the broker asks now and then
 * whether they have (RFC 8628). Nobody is waited for: each turn asks once at most, and says when the next may be.
 */
export function deviceCodeFlow(found: Found = { servers: new Map(), keys: new Map() }): Flow {
  const asked = beforehand(
    ({ signIn }) => comingLater(signIn),
    async (context, values) => waiting(context, await prepare(context, values, found)),
  )
  return {
    id: 'device-code',
    label: 'a code on any device',
    comesBack: false,
    ...ofAGrant(found, asked.begin),

    async next(context, memory, answer) {
      const held = recall(memorySchema, memory)
      if (held.stage === 'choosing') return afterChoice(context, held, answer)
      if (held.stage === 'asking') return asked.next(context, held, answer)
      if (answer !== undefined)
        throw new ValetkeyError('invalid-request', 'the code is entered at the provider')
      return lookAgain(context, held, found)
    },
  }
}

/** Whoever looks too early, or too late, learns that without a question to the server. */
async function lookAgain(context: FlowContext, held: Waiting, found: Found): Promise<FlowTurn> {
  const now = context.now()
  if (now >= new Date(held.until)) throw tooLate()
  if (now < new Date(held.notBefore)) return waiting(context, held)
  refuseOtherClient(context, held)
  const heard = await look(context, held)
  if ('tokens' in heard) return issued(context, held, heard.tokens, found)
  // The next question is counted from the end of this answer.
  const answered = context.now()
  const isSlower = heard.waits === 'longer'
  const everySeconds = held.everySeconds + (isSlower ? SLOWER_SECONDS : 0)
  const missed = heard.waits === 'unreached' ? held.missed + 1 : 0
  const wait = Math.max(backOff(everySeconds, missed), heard.seconds ?? 0)
  return waiting(context, later({ ...held, missed, everySeconds }, wait, answered))
}

/** What was issued, and who signed in where OpenID Connect was asked for. */
async function issued(context: FlowContext, held: Waiting, tokens: Tokens, found: Found): Promise<FlowTurn> {
  const { oauth } = standingOf(context)
  const { vars, scopes } = held
  const key = keyOf(held)
  const credential = bindTo(credentialOf(tokens, scopes, oauth, context.now()), key)
  const asked = { ...held, ...(await boundBy(key)) }
  return afterIssue(context, { credential, vars, told: tokens.told }, () =>
    isOpenId(oauth, scopes) ? signedIn(context, asked, tokens, found) : askedAfter(context, asked, tokens),
  )
}

/** Twice as long each time that nobody was reached. */
function backOff(everySeconds: number, missed: number): number {
  return Math.max(everySeconds, Math.min(everySeconds * 2 ** missed, LONGEST_SECONDS))
}

function refuseOtherClient(context: FlowContext, { clientId }: Waiting): void {
  if (standingOf(context).client.clientId === clientId) return
  throw new ValetkeyError('flow-failed', 'our client at the provider changed meanwhile', {
    hint: 'begin again',
  })
}

function tooLate(): ValetkeyError {
  return new ValetkeyError('flow-expired', 'the code was not entered in time')
}
