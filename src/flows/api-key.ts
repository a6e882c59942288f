import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { Credential, Profile } from '../model/credential.ts'
import type { Flow, FlowContext, FlowTurn, RevokedPiece } from '../model/flow.ts'
import type { Destination } from '../model/provider.ts'
import { wear } from '../protocol/presentation.ts'
import { blankless, confirmed, filled } from './filled.ts'
import {
  credentialOf,
  KEEP,
  misshapen,
  openQuestions,
  own,
  questions,
  type Values,
  varsOf,
  type Why,
  whySchema,
} from './key-fields.ts'
import { liveCheck } from './live-check.ts'
import { recall, remember } from './memory.ts'

const memorySchema = z.strictObject({
  values: z.record(z.string(), z.string()),
  why: whySchema.optional(),
  mayKeep: z.boolean(),
})

type Memory = z.infer<typeof memorySchema>

/**
 * A key that a person has: asked for, checked by its form, tried at the provider. It is kept when
 * it passes, or when the person insists.
 */
export const apiKeyFlow: Flow = {
  id: 'api-key',
  nature: 'pure',
  comesBack: false,
  // Only a person ends it.
  endsAlone: true,

  async begin(context) {
    const asked = questions(context)
    const known = asked.flatMap(({ name }) => {
      const value = blankless(name, own(context.known, name))
      return value ? [[name, value] as const] : []
    })
    const values = Object.fromEntries(known)
    const complete = asked.every(({ name, optional }) => optional || Object.hasOwn(values, name))
    return complete ? settle(context, values, false) : ask(context, { values, mayKeep: false })
  },

  async next(context, memory, answer) {
    const held = recall(memorySchema, memory)
    if (answer === undefined) return ask(context, held)
    const given = filled(openQuestions(context, held), answer)
    const { [KEEP]: _, ...fresh } = Object.fromEntries(given)
    return settle(context, { ...held.values, ...fresh }, confirmed(given, KEEP))
  },

  async revoke({ provider, signIn }, credential) {
    const at = signIn.console ?? (provider.revoke.how === 'console' ? provider.revoke.at : undefined)
    const how = `only you can end it, at ${at ?? provider.name}`
    const pieces = { ...credential.worn, ...credential.kept }
    const label = (name: string) => signIn.fields.find((field) => field.name === name)?.label ?? name
    return Object.keys(pieces).map((name): RevokedPiece => ({ what: label(name), died: false, how }))
  },
}

async function settle(context: FlowContext, values: Values, keep: boolean): Promise<FlowTurn> {
  const vars = varsOf(context, values)
  const destination = destinationFor(context, vars)
  if (destination instanceof ValetkeyError)
    return again(context, without(vars, values), whyNot(destination), false)
  const odd = misshapen(context, values)
  if (odd !== undefined && !keep && !context.insist) return again(context, values, odd, true)
  const credential = credentialOf(context, values)
  if (!isWearable(context, credential)) return again(context, {}, UNSENDABLE, false)
  return prove(context, { values, vars, keep }, destination, credential)
}

async function prove(
  context: FlowContext,
  { values, vars, keep }: { values: Values; vars: Values; keep: boolean },
  destination: Destination,
  credential: Credential,
): Promise<FlowTurn> {
  const done = (subject: string | null, displayName: string | null): FlowTurn => {
    const profile: Profile = { subject, displayName, vars }
    return { done: { credential, profile } }
  }
  const { verify } = context.signIn
  if (keep || (verify === undefined && !mustProve(context))) return done(null, null)
  if (verify === undefined) return again(context, values, UNPROVABLE, true)
  const finding = await liveCheck(context, verify, destination, credential)
  if (finding.alive) return done(finding.subject, finding.displayName)
  return context.insist ? done(null, null) : again(context, values, finding.why, true)
}

/** What works is not given up for what nobody has tried. */
function mustProve({ replaces, insist }: FlowContext): boolean {
  return replaces === true && !insist
}

const UNPROVABLE: Why = {
  because: 'this provider has nothing to prove a key by, and the one in use would be given up for it',
  code: 'invalid-credentials',
}

const UNSENDABLE: Why = { because: 'this value cannot be sent in a request', code: 'key-format' }

function whyNot({ message, code }: ValetkeyError): Why {
  return { because: message, code }
}

function again(context: FlowContext, values: Values, why: Why, mayKeep: boolean): FlowTurn {
  return ask(context, { values, why, mayKeep })
}

function ask(context: FlowContext, held: Memory): FlowTurn {
  const { console: at } = context.signIn
  return {
    step: {
      ask: 'fill',
      fields: openQuestions(context, held),
      ...held.why,
      ...(at === undefined ? {} : { at: new URL(at) }),
    },
    memory: remember(held),
  }
}

function destinationFor({ catalogue, provider }: FlowContext, vars: Values): Destination | ValetkeyError {
  try {
    return catalogue.destination(provider, vars)
  } catch (error) {
    if (error instanceof ValetkeyError && error.code === 'invalid-request') return error
    throw error
  }
}

function isWearable({ provider, signIn }: FlowContext, credential: Credential): boolean {
  try {
    return wear(signIn.present, provider.headers, credential).length > 0
  } catch (error) {
    if (error instanceof ValetkeyError && error.code === 'key-format') return false
    throw error
  }
}

function without(some: Values, values: Values): Values {
  return Object.fromEntries(Object.entries(values).filter(([name]) => !Object.hasOwn(some, name)))
}
