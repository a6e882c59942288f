import { z } from 'zod'
import { type Field, ValetkeyError } from '#client'
import type { Credential, Profile } from '../../model/credential.ts'
import type { FlowContext, FlowTurn, FlowYield, Unkept } from '../../model/flow.ts'
import type { Secret } from '../../model/secret.ts'
import type { FlowAnswer } from '../../model/words.ts'
import { tradedIn } from '../exchange/exchange.ts'
import { filled } from '../filled/filled.ts'
import type { Values } from '../filled/key-fields.ts'
import { liveCheck } from '../filled/live-check.ts'
import { recall, remember } from '../memory.ts'
import { type Found, lookUp } from './look-up.ts'
import { shown } from './person.ts'
import { asKnown, meantBy, refuseElsewhere } from './told-values.ts'
import { readCredential, writtenCredential } from './written-credential.ts'

/** What was issued, and what was said along with it. */
export interface Issue {
  readonly credential: Credential
  /** What is known by now of the provider's addresses. */
  readonly vars: Values
  /** By pointer: what the token endpoint told. */
  readonly told?: Values | undefined
  /** Who signed in, where that is proved already. */
  readonly whose?: Omit<Profile, 'vars'> | undefined
}

const values = z.record(z.string(), z.string())

/** While a person chooses what an account is for: all that was issued lies in it, and nothing is asked for twice. */
export const choosingSchema = z.strictObject({
  stage: z.literal('choosing'),
  credential: z.string(),
  vars: values,
  told: values,
  whose: z.looseObject({ subject: z.string().nullable(), displayName: z.string().nullable() }).optional(),
  /** Which of the look-ups. */
  of: z.int(),
  found: z.array(z.strictObject({ label: z.string(), value: z.string() })),
})

export type Choosing = z.infer<typeof choosingSchema>

/**
 * What is done once something was issued: what was told along with it is taken in, it is traded in where its
 * provider wants that, what is not known yet is looked up, a person chooses where there is a choice, and it is
 * found out whose account it is.
 */
export async function afterIssue(
  context: FlowContext,
  issue: Issue,
  proveWhose: () => Promise<Issue['whose']>,
): Promise<FlowTurn> {
  const traded = await orUnkept(issue, async () => {
    const proved = await proveWhose()
    const vars = { ...issue.vars, ...toldVars(context, issue) }
    const { whose, ...got } = await tradedIn(context, { credential: issue.credential, vars })
    return { ...got, whose: proved ?? whose }
  })
  const whole = { ...issue, ...traded, told: issue.told ?? {} }
  return orUnkept(whole, async () => {
    refuseElsewhere(context, whole.vars)
    return lookUpFrom(context, whole, 0)
  })
}

/** The same, once the person chose; without an answer they are asked again. */
export async function afterChoice(
  context: FlowContext,
  held: Choosing,
  answer: FlowAnswer | undefined,
): Promise<FlowTurn> {
  if (answer === undefined) return ask(context, held)
  const lookup = lookupOf(context, held)
  const label = filled([fieldOf(context, held)], answer).get(lookup.as)
  const value = held.found.find((one) => one.label === label)?.value
  if (value === undefined) return ask(context, held)
  return take(context, issueOf(held), held.of, value)
}

/** What was issued already and waits for a choice, so that it can be ended if nobody makes it. */
export function unkeptIn(memory: Secret): Extract<FlowYield, { credential: unknown }> | undefined {
  const held = choosingSchema.safeParse(recall(z.unknown(), memory))
  return held.success ? unkeptOf(issueOf(held.data)) : undefined
}

function issueOf({ credential, vars, told, whose }: Choosing): Issue {
  return { credential: readCredential(credential), vars, told, whose: whose && { ...whose } }
}

async function lookUpFrom(context: FlowContext, issue: Issue, of: number): Promise<FlowTurn> {
  const lookup = context.signIn.lookups[of]
  if (lookup === undefined) return done(context, issue)
  const { vars, credential } = issue
  const known = { ...context, provider: asKnown(context, vars) }
  const found = await lookUp(known, lookup, { vars, credential })
  const [one, ...others] = found
  if (one === undefined) throw nothing(context, lookup.as)
  const before = vars[lookup.as]
  // What was meant before is not taken to be something else, even where there is nothing else.
  const meant =
    before === undefined && others.length === 0 ? one : found.find(({ value }) => value === before)
  if (meant !== undefined) return take(context, issue, of, meant.value)
  return ask(context, choosing(issue, of, found))
}

async function take(context: FlowContext, issue: Issue, of: number, value: string): Promise<FlowTurn> {
  const { as } = lookupOf(context, { of })
  const vars = { ...issue.vars, [as]: meantBy(context.provider, as, value) }
  refuseElsewhere(context, vars)
  return lookUpFrom(context, { ...issue, vars }, of + 1)
}

async function done(context: FlowContext, issue: Issue): Promise<FlowTurn> {
  const { credential, vars, told = {}, whose = await ownerOf(context, { credential, vars, told }) } = issue
  return { done: { credential, profile: { ...whose, vars } } }
}

/** Whose account it is where nobody signed in with OpenID Connect: the provider's own harmless request tells. */
async function ownerOf(
  context: FlowContext,
  { credential, vars, told = {} }: Issue,
): Promise<Pick<Profile, 'subject' | 'displayName'>> {
  const { verify, whose } = context.signIn
  const read = (pointer: string | undefined) =>
    (pointer !== undefined && Object.hasOwn(told, pointer) && told[pointer]) || null
  const answered = { subject: read(whose?.subject), displayName: shown(read(whose?.displayName)) ?? null }
  if (verify === undefined) return answered
  const destination = context.catalogue.destination(context.provider, vars)
  const finding = await liveCheck(context, verify, destination, credential)
  if (!finding.alive)
    throw new ValetkeyError(
      'exchange-failed',
      `it is not known whose account this is: ${finding.why.because}`,
    )
  const { subject, displayName } = finding
  return { subject: subject ?? answered.subject, displayName: displayName ?? answered.displayName }
}

/** What the token endpoint has to tell, and what it means. */
function toldVars({ provider, signIn }: FlowContext, { told = {}, vars }: Issue): Values {
  return Object.fromEntries(
    Object.entries(signIn.told).flatMap(([pointer, name]) => {
      const said = Object.hasOwn(told, pointer) ? told[pointer] : undefined
      if (said !== undefined) return [[name, meantBy(provider, name, said)]]
      if (vars[name] !== undefined) return []
      throw new ValetkeyError('bad-answer', `${provider.name} did not tell its ${name}`)
    }),
  )
}

function choosing({ credential, vars, told = {}, whose }: Issue, of: number, found: Found): Choosing {
  return {
    stage: 'choosing',
    credential: writtenCredential(credential),
    vars: { ...vars },
    told: { ...told },
    ...(whose === undefined ? {} : { whose: { ...whose } }),
    of,
    found: [...found],
  }
}

function ask(context: FlowContext, held: Choosing): FlowTurn {
  return { step: { ask: 'fill', fields: [fieldOf(context, held)] }, memory: remember(held) }
}

function fieldOf(context: FlowContext, held: Choosing): Field {
  const { as: name } = lookupOf(context, held)
  const { label = name, hint } = context.provider.vars.find((variable) => variable.name === name) ?? {}
  const choices = held.found.map((one) => one.label)
  return { name, label, kind: 'choice', choices, ...(hint === undefined ? {} : { hint }) }
}

function lookupOf({ signIn }: FlowContext, { of }: Pick<Choosing, 'of'>) {
  const lookup = signIn.lookups[of]
  if (lookup !== undefined) return lookup
  throw new ValetkeyError('flow-failed', 'the provider changed in the middle of this sign-in', {
    hint: 'begin it again',
  })
}

function nothing({ provider }: FlowContext, name: string): ValetkeyError {
  const { label = name } = provider.vars.find((variable) => variable.name === name) ?? {}
  return new ValetkeyError(
    'exchange-failed',
    `${provider.name} has no ${label} that this access is good for`,
    {
      hint: 'sign in as somebody who has one, or make one there first',
    },
  )
}

function unkeptOf({
  credential,
  vars,
  whose,
}: Pick<Issue, 'credential' | 'vars' | 'whose'>): Unkept['unkept'] {
  return { credential, profile: { subject: null, displayName: null, ...whose, vars } }
}

/** What was issued rides along with what went wrong after that, so that it is not left alive at its provider. */
export async function orUnkept<T>(
  issue: Pick<Issue, 'credential' | 'vars' | 'whose'>,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof ValetkeyError)) throw error
    const { message, hint, retryAfter } = error
    // Nothing that is answered now would be another answer to that.
    const code = error.code === 'invalid-request' ? 'bad-answer' : error.code
    const cause: Unkept = { unkept: unkeptOf(issue) }
    throw new ValetkeyError(code, message, {
      cause,
      ...(hint === undefined ? {} : { hint }),
      ...(retryAfter === undefined ? {} : { retryAfter }),
    })
  }
}
