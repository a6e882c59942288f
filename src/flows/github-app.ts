import { z } from 'zod'
import { type Field, ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { Flow, FlowContext, FlowTurn, RevokedPiece } from '../model/flow.ts'
import { Secret } from '../model/secret.ts'
import { filled } from './filled/filled.ts'
import { foundAt, knownBefore } from './filled/form.ts'
import { misshapen, openQuestions, own, type Values, varsOf, whySchema } from './filled/key-fields.ts'
import {
  type App,
  endToken,
  type Installation,
  type IssuedToken,
  installationsOf,
  issueToken,
  scopesOf,
} from './github-app/api.ts'
import { whyNotEnded } from './issued/not-ended.ts'
import { recall, remember } from './memory.ts'

const memorySchema = z.strictObject({
  values: z.record(z.string(), z.string()),
  why: whySchema.optional(),
  /** The accounts on which the app is installed, where the person has to say which. */
  choices: z.array(z.string()).optional(),
})

type Memory = z.infer<typeof memorySchema>

/** The field by which one of several is named. */
const INSTALLATION = 'installation'

/**
 * An app of the person's own at GitHub: its private key is the credential, and stays here. A token for one of its
 * installations is had for it as often as one is needed.
 */
export const githubAppFlow: Flow = {
  id: 'github-app',
  label: 'a GitHub App of your own',
  nature: 'pure',
  comesBack: false,
  endsAlone: true,
  ownClient: true,

  async begin(context) {
    const values = knownBefore(context)
    const open = openQuestions(context, { values, mayKeep: false })
    return open.some(({ optional }) => !optional) ? ask(context, { values }) : settle(context, values)
  },

  async next(context, memory, answer) {
    const held = recall(memorySchema, memory)
    if (answer === undefined) return ask(context, held)
    const given = filled(questions(context, held), answer)
    return settle(context, { ...held.values, ...Object.fromEntries(given) })
  },

  renews: ({ kept }) => appOf(kept) !== undefined,

  async refresh(context, { kept }) {
    const app = appOf(kept)
    if (app === undefined) throw new ValetkeyError('refresh-not-available', 'the key of the app is not there')
    return credentialOf(await issueToken(context, {}, app), kept)
  },

  async revoke(context, { worn, kept }) {
    const token = worn['accessToken']
    const ended = token === undefined ? [] : [await endPiece(context, token)]
    if (kept['privateKey'] === undefined) return ended
    const how = `only you can end it, at ${context.signIn.console ?? context.provider.name}`
    return [...ended, { what: 'private key', died: false, how, within: true }]
  },
}

/** By what a token is had; undefined where some of it is missing. */
export function appOf(kept: Credential['kept']): (App & { readonly installationId: string }) | undefined {
  const [appId, privateKey, installationId] = ['appId', 'privateKey', 'installationId'].map((name) =>
    kept[name]?.reveal(),
  )
  if (appId === undefined || privateKey === undefined || installationId === undefined) return undefined
  return { appId, privateKey, installationId }
}

export function credentialOf(
  { token, expires_at: ends, permissions }: IssuedToken,
  kept: Credential['kept'],
): Credential {
  return {
    worn: { accessToken: new Secret(token) },
    kept,
    standing: false,
    expiresAt: new Date(ends),
    scopes: scopesOf(permissions),
    tokenType: 'Bearer',
  }
}

async function settle(context: FlowContext, values: Values): Promise<FlowTurn> {
  try {
    const odd = misshapen(context, values)
    if (odd !== undefined) return ask(context, { values: without(values, INSTALLATION), why: odd })
    const vars = varsOf(context, values)
    const { appId = '', privateKey = '' } = values
    const there = await installationsOf(context, vars, { appId, privateKey })
    const named = own(values, INSTALLATION)
    const found = there.filter((one) => named === undefined || isNamed(one, named))
    const [one, ...others] = found
    if (one === undefined)
      return ask(context, { values: without(values, INSTALLATION), why: notInstalled(named) })
    if (others.length > 0) return ask(context, { values, choices: found.map(({ account }) => account.login) })
    return await done(context, { values, vars }, one)
  } catch (error) {
    if (!(error instanceof ValetkeyError && ASKED_AGAIN.has(error.code))) throw error
    const code = error.code === 'access-revoked' ? 'invalid-credentials' : error.code
    return ask(context, { values: {}, why: { because: error.message, code } })
  }
}

const ASKED_AGAIN: ReadonlySet<string> = new Set([
  'invalid-credentials',
  'access-revoked',
  'key-format',
  'invalid-request',
])

async function done(
  context: FlowContext,
  { values, vars }: { readonly values: Values; readonly vars: Values },
  { id, account: { login } }: Installation,
): Promise<FlowTurn> {
  const { appId = '', privateKey = '' } = values
  const app = { appId, privateKey, installationId: String(id) }
  const issued = await issueToken(context, vars, app)
  const kept = Object.entries({ ...app, account: login }).map(
    ([name, value]) => [name, new Secret(value)] as const,
  )
  const credential = credentialOf(issued, Object.fromEntries(kept))
  return { done: { credential, profile: { subject: app.installationId, displayName: login, vars } } }
}

function isNamed({ id, account: { login } }: Installation, name: string): boolean {
  return String(id) === name || login.toLowerCase() === name.toLowerCase()
}

function notInstalled(name: string | undefined): Memory['why'] {
  const because =
    name === undefined ? 'this app is installed nowhere yet' : 'this app is not installed on such an account'
  return { because, code: 'invalid-request' }
}

function without(values: Values, name: string): Values {
  return Object.fromEntries(Object.entries(values).filter(([one]) => one !== name))
}

function questions(context: FlowContext, { values, why, choices }: Memory): readonly Field[] {
  if (choices === undefined) return openQuestions(context, { values, why, mayKeep: false })
  return [{ name: INSTALLATION, label: 'Account on which it is installed', kind: 'choice', choices }]
}

function ask(context: FlowContext, held: Memory): FlowTurn {
  const fields = questions(context, held)
  return { step: { ask: 'fill', fields, ...held.why, ...foundAt(context) }, memory: remember(held) }
}

async function endPiece(context: FlowContext, token: Secret): Promise<RevokedPiece> {
  const what = 'access token'
  try {
    const lived = await endToken(context, {}, token.reveal())
    return { what, died: true, how: lived ? 'ended at the provider' : 'it was dead already' }
  } catch (error) {
    return { what, died: false, ...whyNotEnded(error) }
  }
}
