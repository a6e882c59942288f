import { ValetkeyError } from '#client'
import type { Credential, Profile } from '../model/credential.ts'
import type { Flow, FlowContext, FlowTurn, RevokedPiece } from '../model/flow.ts'
import type { Destination } from '../model/provider.ts'
import { wear } from '../protocol/presentation.ts'
import { isProved } from '../protocol/proving.ts'
import { askFor, byForm } from './filled/form.ts'
import { credentialOf, misshapen, type Values, varsOf, type Why } from './filled/key-fields.ts'
import { liveCheck } from './filled/live-check.ts'

/**
 * A key that a person has: asked for, checked by its form, tried at the provider. It is kept when
 * it passes, or when the person insists.
 */
export const apiKeyFlow: Flow = {
  id: 'api-key',
  label: 'a key',
  nature: 'pure',
  comesBack: false,
  // Only a person ends it.
  endsAlone: true,

  ...byForm({ settle }),

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
  return askFor(context, { values, why, mayKeep })
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
    const worn = wear(signIn.present, provider.headers, credential)
    return worn.length > 0 || isProved(signIn.present, credential)
  } catch (error) {
    if (error instanceof ValetkeyError && error.code === 'key-format') return false
    throw error
  }
}

function without(some: Values, values: Values): Values {
  return Object.fromEntries(Object.entries(values).filter(([name]) => !Object.hasOwn(some, name)))
}
