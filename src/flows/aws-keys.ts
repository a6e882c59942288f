import { ValetkeyError } from '#client'
import type { Profile } from '../model/credential.ts'
import type { Flow, FlowContext, FlowTurn, RevokedPiece } from '../model/flow.ts'
import { callerOf, keyOf } from './aws/sts-api.ts'
import { askFor, byForm } from './filled/form.ts'
import { credentialOf, misshapen, type Values, varsOf } from './filled/key-fields.ts'

/**
 * The keys of an AWS user, who never die by themselves. They sign what is forwarded, and keys that die are had for
 * them; AWS itself is asked whose they are.
 */
export const awsKeysFlow: Flow = {
  id: 'aws-keys',
  label: 'access keys',
  nature: 'pure',
  comesBack: false,
  endsAlone: true,

  ...byForm({ settle }),

  async revoke({ provider, signIn }, { worn }) {
    const how = `only you can end it, at ${signIn.console ?? provider.name}`
    return worn['SecretAccessKey'] === undefined
      ? []
      : [{ what: 'access key', died: false, how } satisfies RevokedPiece]
  },
}

async function settle(context: FlowContext, values: Values, keep: boolean): Promise<FlowTurn> {
  const vars = varsOf(context, values)
  const odd = misshapen(context, values)
  if (odd !== undefined) return askFor(context, { values, why: odd, mayKeep: false })
  const credential = credentialOf(context, values)
  const done = (whose: Omit<Profile, 'vars'>): FlowTurn => ({
    done: { credential, profile: { ...whose, vars } },
  })
  if (keep) return done({ subject: null, displayName: null })
  try {
    const { Arn, Account } = await callerOf(context, vars, keyOf(credential))
    return done({ subject: Arn, displayName: `${Arn.replace(/^.*:/, '')} of ${Account}` })
  } catch (error) {
    if (!(error instanceof ValetkeyError)) throw error
    if (context.insist && error.code !== 'invalid-request') return done({ subject: null, displayName: null })
    const why = { because: error.message, code: error.code }
    return askFor(context, { values: error.code === 'invalid-request' ? {} : values, why, mayKeep: true })
  }
}
