import { type Field, ValetkeyError } from '#client'
import type { Flow, FlowContext, FlowTurn } from '../model/flow.ts'
import { Secret } from '../model/secret.ts'
import type { FlowAnswer } from '../model/words.ts'
import { OF_THE_SERVER } from '../protocol/trouble.ts'
import { accountsOf, redeemCode, registerClient, rolesOf, startCode } from './aws/sso-api.ts'
import { endSession, firstKeys, isWhole, keptOf, renewKeys } from './aws/sso-keys.ts'
import { type Asking, type Choosing, memorySchema, type SignedIn, type Waiting } from './aws/sso-memory.ts'
import { filled } from './filled/filled.ts'
import { foundAt, knownBefore } from './filled/form.ts'
import { misshapen, openQuestions, own, type Values, varsOf } from './filled/key-fields.ts'
import { orUnkept } from './issued/after-issue.ts'
import { recall, remember } from './memory.ts'

const LONGEST_MS = 10 * 60_000
/** RFC 8628 §3.5, from then on for every question. */
const SLOWER_SECONDS = 5

/** In which region IAM Identity Center is; the keys that come of it are good in others as well. */
const SSO_REGION = 'ssoRegion'

/**
 * A person's sign-in to IAM Identity Center: a code that is entered elsewhere, then an account and a role there.
 * What is worn are keys of that role, which die; the sign-in itself is kept, and new keys are had for it.
 */
export const awsSsoFlow: Flow = {
  id: 'aws-sso',
  label: 'IAM Identity Center',
  nature: 'pure',
  comesBack: false,
  endsAlone: true,
  ownClient: true,

  async begin(context) {
    const values = knownBefore(context)
    const chosen = Object.fromEntries(
      [SSO_REGION].flatMap((name) => {
        const value = context.known[name]?.reveal().trim()
        return value ? [[name, value]] : []
      }),
    )
    return setOut(context, { stage: 'asking', values: { ...values, ...chosen } })
  },

  async next(context, memory, answer) {
    const held = recall(memorySchema, memory)
    if (held.stage === 'asking')
      return answer === undefined ? ask(context, held) : goOn(context, held, answer)
    if (held.stage === 'choosing') return answer === undefined ? choose(held) : chosen(context, held, answer)
    if (answer !== undefined)
      throw new ValetkeyError('invalid-request', 'the code is entered at the provider')
    return lookAgain(context, held)
  },

  unkept(memory) {
    const held = memorySchema.safeParse(JSON.parse(memory.reveal()))
    if (!held.success || held.data.stage !== 'choosing') return undefined
    const { credential, vars } = issuedTo(held.data)
    return { credential, profile: { subject: null, displayName: null, vars } }
  },

  renews: ({ kept }) => isWhole(kept),
  refresh: (context, { kept }) => renewKeys(context, kept),
  revoke: (context, credential) => endSession(context, credential),
}

function questions(context: FlowContext, held: Asking): readonly Field[] {
  const usual: Field = {
    name: SSO_REGION,
    label: 'Region of IAM Identity Center',
    kind: 'text',
    optional: true,
    hint: 'where it was set up; us-east-1 where you leave it empty',
  }
  const all = openQuestions(context, { ...held, mayKeep: false })
  const isKnown = all.some(({ name }) => name === SSO_REGION) || Object.hasOwn(held.values, SSO_REGION)
  return isKnown ? all : [...all, usual]
}

function ask(context: FlowContext, held: Asking): FlowTurn {
  const more = { ...held.why, ...foundAt(context) }
  return { step: { ask: 'fill', fields: questions(context, held), ...more }, memory: remember(held) }
}

async function goOn(context: FlowContext, held: Asking, answer: FlowAnswer): Promise<FlowTurn> {
  const given = Object.fromEntries(filled(questions(context, held), answer))
  return setOut(context, { stage: 'asking', values: { ...held.values, ...given } })
}

async function setOut(context: FlowContext, held: Asking): Promise<FlowTurn> {
  const { values } = held
  const startUrl = own(values, 'startUrl')
  if (startUrl === undefined) return ask(context, held)
  const odd = misshapen(context, values)
  if (odd !== undefined) return ask(context, { stage: 'asking', values: {}, why: odd })
  const region = own(values, SSO_REGION)
  const vars = { ...varsOf(context, values), ...(region === undefined ? {} : { [SSO_REGION]: region }) }
  try {
    const client = await registerClient(context, vars, startUrl)
    const begun = await startCode(context, vars, client, startUrl)
    const now = context.now()
    return waiting(
      {
        stage: 'waiting',
        vars,
        values,
        client,
        deviceCode: begun.deviceCode,
        userCode: begun.userCode,
        at: begun.verificationUri,
        ...(begun.verificationUriComplete === undefined ? {} : { whole: begun.verificationUriComplete }),
        until: new Date(now.getTime() + Math.min(begun.expiresIn * 1000, LONGEST_MS)).toISOString(),
        notBefore: now.toISOString(),
        everySeconds: begun.interval,
      },
      now,
    )
  } catch (error) {
    if (!(error instanceof ValetkeyError && ASKED_AGAIN.has(error.code))) throw error
    return ask(context, { stage: 'asking', values: {}, why: { because: error.message, code: error.code } })
  }
}

const ASKED_AGAIN: ReadonlySet<string> = new Set(['invalid-credentials', 'invalid-request', 'network-error'])

/** The next question is counted from now on. */
function waiting(held: Waiting, now: Date): FlowTurn {
  const again = new Date(Math.min(now.getTime() + held.everySeconds * 1000, Date.parse(held.until)))
  return shown({ ...held, notBefore: again.toISOString() })
}

function shown(held: Waiting): FlowTurn {
  const { userCode, at, whole, until, everySeconds } = held
  return {
    step: {
      ask: 'enter-code',
      code: userCode,
      at: new URL(at),
      ...(whole === undefined ? {} : { whole: new URL(whole) }),
      until: new Date(until),
      everySeconds,
    },
    memory: remember(held),
    again: new Date(held.notBefore),
  }
}

async function lookAgain(context: FlowContext, held: Waiting): Promise<FlowTurn> {
  const { vars, client, deviceCode, until, notBefore, everySeconds } = held
  const now = context.now()
  if (now >= new Date(until)) throw new ValetkeyError('flow-expired', 'the code was not entered in time')
  if (now < new Date(notBefore)) return shown(held)
  const heard = await redeemCode(context, vars, client, deviceCode).catch((error: unknown) => {
    if (error instanceof ValetkeyError && OF_THE_SERVER.includes(error.code)) return 'slow-down' as const
    throw error
  })
  const answered = context.now()
  if (heard === 'pending') return waiting(held, answered)
  if (heard === 'slow-down')
    return waiting({ ...held, everySeconds: everySeconds + SLOWER_SECONDS }, answered)
  const { accessToken: token, expiresIn, refreshToken } = heard
  const tokenEnds = new Date(answered.getTime() + expiresIn * 1000).toISOString()
  const { values } = held
  const signedIn = { vars, values, client, token, tokenEnds, ...(refreshToken && { refreshToken }) }
  return orUnkept(issuedTo(signedIn), () => account(context, signedIn))
}

/** The session alone, as it can be ended while no role was chosen. */
function issuedTo(signedIn: SignedIn) {
  const kept = keptOf(signedIn, { accountId: '', roleName: '' })
  const credential = { worn: {}, kept, standing: false, expiresAt: null, scopes: [], tokenType: '' }
  return { credential, vars: signedIn.vars }
}

async function account(context: FlowContext, held: SignedIn): Promise<FlowTurn> {
  const all = await accountsOf(context, held.vars, new Secret(held.token))
  const choices = all.map(({ accountId: value, accountName: name }) => ({
    label: name === undefined ? value : `${name} (${value})`,
    value,
  }))
  return narrow(context, held, 'accountId', choices)
}

async function role(context: FlowContext, held: SignedIn): Promise<FlowTurn> {
  const { accountId = '' } = held.values
  const all = await rolesOf(context, held.vars, new Secret(held.token), accountId)
  return narrow(
    context,
    held,
    'roleName',
    all.map((value) => ({ label: value, value })),
  )
}

/** One that was named, or the only one there is; otherwise the person chooses. None is taken for another. */
async function narrow(
  context: FlowContext,
  held: SignedIn,
  field: Choosing['field'],
  choices: Choosing['choices'],
): Promise<FlowTurn> {
  const named = own(held.values, field)
  const fitting = named === undefined ? choices : choices.filter(({ value }) => value === named)
  const [one, ...others] = fitting
  if (choices.length === 0)
    throw new ValetkeyError('access-denied', 'nothing at AWS is assigned to whoever signed in there')
  if (one === undefined || others.length > 0) return choose({ stage: 'choosing', ...held, field, choices })
  return take(context, held, field, one.value)
}

function choose(held: Choosing): FlowTurn {
  return { step: { ask: 'fill', fields: [fieldOf(held)] }, memory: remember(held) }
}

function fieldOf({ field, choices }: Choosing): Field {
  const label = field === 'accountId' ? 'Account' : 'Role'
  return { name: field, label, kind: 'choice', choices: choices.map((one) => one.label) }
}

async function chosen(context: FlowContext, held: Choosing, answer: FlowAnswer): Promise<FlowTurn> {
  const label = filled([fieldOf(held)], answer).get(held.field)
  const value = held.choices.find((one) => one.label === label)?.value
  if (value === undefined) return choose(held)
  const { stage: _, field, choices: __, ...signedIn } = held
  return take(context, signedIn, field, value)
}

async function take(
  context: FlowContext,
  held: SignedIn,
  field: Choosing['field'],
  value: string,
): Promise<FlowTurn> {
  const known: SignedIn = { ...held, values: { ...held.values, [field]: value } }
  return field === 'accountId'
    ? role(context, known)
    : { done: await firstKeys(context, known, meant(known.values)) }
}

function meant({ accountId = '', roleName = '' }: Values) {
  return { accountId, roleName }
}
