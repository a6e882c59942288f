import { wornFields } from '../model/provider/worn.ts'
import type { Presentation, Provider, SignIn, Variable } from '../model/provider.ts'
import { isValueOf, sameHost } from './destination.ts'
import { isPublicHostName } from './host-name.ts'
import { flawsOfDialect, flawsOfWay } from './judge-dialect.ts'
import { flawsOfAssertion, flawsOfExchange } from './judge-exchange.ts'
import { type Flaw, flawsOfHost, undeclared } from './judge-host.ts'
import { flawsOfOAuth, flawsOfServer, ISSUED, issuedBy } from './judge-oauth.ts'
import { flawsOfPrograms } from './judge-programs.ts'
import { flawsOfPins, flawsOfRevoke } from './judge-revoke.ts'
import { flawsOfTold } from './judge-told.ts'
import { placeholders } from './template.ts'
import { seenBy } from './ways.ts'

/** The name under which a flow asks whether to keep an unproved key; no field may take it. */
const RESERVED = 'keep'

// Set by the way out itself, or able to change where and how a request ends.
const NOT_WORN = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'te',
  'trailer',
])

export function* flawsOf(provider: Provider): Generator<Flaw> {
  yield* flawsOfVars(provider)
  for (const [i, host] of provider.hosts.entries()) yield* flawsOfHost(provider, host, `hosts[${i}]`)
  for (const [name, value] of Object.entries(provider.headers)) yield* flawsOfHeader(name, value)
  yield* flawsOfOAuth(provider)
  yield* flawsOfDialect(provider)
  yield* flawsOfPlainLink(provider.registrationGuide?.console, 'registrationGuide.console')
  for (const [i, signIn] of provider.signIns.entries()) {
    const seen = seenBy(provider, signIn.flow)
    yield* flawsOfSignIn(seen, signIn, i)
    yield* flawsOfTold(seen, signIn, `signIns[${i}]`)
    yield* flawsOfWay(seen, signIn, `signIns[${i}]`)
    yield* flawsOfExchange(seen, signIn, `signIns[${i}]`)
    yield* flawsOfAssertion(seen, signIn, `signIns[${i}]`)
    if (signIn.apart) yield* flawsOfApart(seen, `signIns[${i}].apart`)
  }
  yield* flawsOfRevoke(provider)
  yield* flawsOfPlainLink(provider.revoke.at, 'revoke.at')
  yield* flawsOfPins(provider)
  yield* flawsOfPrograms(provider)
}

/** What stands apart is held to the same as the rest. */
function* flawsOfApart(seen: Provider, at: string): Generator<Flaw> {
  for (const [i, host] of seen.hosts.entries()) yield* flawsOfHost(seen, host, `${at}.hosts[${i}]`)
  for (const [name, value] of Object.entries(seen.headers)) yield* within(at, flawsOfHeader(name, value))
  yield* within(at, flawsOfServer(seen))
  yield* within(at, flawsOfDialect(seen))
  yield* within(at, flawsOfRevoke(seen))
  yield* flawsOfPlainLink(seen.revoke.at, `${at}.revoke.at`)
}

function* within(at: string, flaws: Iterable<Flaw>): Generator<Flaw> {
  for (const { field, words } of flaws) yield { field: `${at}.${field}`, words }
}

function* flawsOfVars(provider: Provider): Generator<Flaw> {
  const { vars } = provider
  yield* repeated(vars, 'vars')
  for (const [i, variable] of vars.entries()) {
    if (variable.decided) yield* flawsOfDecided(provider, variable, `vars[${i}]`)
    const usual = sameHost(provider, variable.default) ? undefined : variable.default
    const values = [...(variable.choices ?? []), ...(usual === undefined ? [] : [usual])]
    if (values.every((value) => isValueOf(provider, variable, value))) continue
    yield { field: `vars[${i}]`, words: 'has a choice or a default that its own form refuses' }
  }
}

/** Whatever is chosen decides, and nothing else has a say. */
function* flawsOfDecided({ vars }: Provider, variable: Variable, at: string): Generator<Flaw> {
  const { decided, choices, pattern, default: usual } = variable
  const { by, values = {} } = decided ?? {}
  const decider = vars.find(({ name }) => name === by)
  const field = `${at}.decided`
  if (!decider?.choices) yield { field: `${field}.by`, words: 'must be a variable with a list of choices' }
  const open = decider?.choices?.find((choice) => !Object.hasOwn(values, choice))
  if (open) yield { field: `${field}.values`, words: `does not say what "${open}" decides` }
  if (!Object.values(values).every((value) => isPublicHostName(value) || /^[a-z0-9-]+$/.test(value)))
    yield { field: `${field}.values`, words: 'must be hosts, or parts of one' }
  if (choices ?? pattern ?? usual) yield { field: at, words: 'is decided, so it has no form of its own' }
}

function* flawsOfHeader(name: string, value: string): Generator<Flaw> {
  if (NOT_WORN.has(name)) yield { field: `headers.${name}`, words: 'is not for a provider to set' }
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value))
    yield { field: `headers.${name}`, words: 'must be visible ASCII' }
}

function* flawsOfSignIn(provider: Provider, signIn: SignIn, i: number): Generator<Flaw> {
  const at = `signIns[${i}]`
  if (provider.signIns.findIndex(({ flow }) => flow === signIn.flow) !== i)
    yield { field: `${at}.flow`, words: `repeats the flow "${signIn.flow}"` }
  yield* repeated([...provider.vars, ...signIn.fields], `${at}.fields`)
  for (const [j, way] of signIn.present.entries())
    yield* flawsOfPresent(provider, signIn, way, `${at}.present[${j}]`)
  if (signIn.verify) yield* flawsOfVerify(provider, signIn.verify.url, `${at}.verify.url`)
  if (signIn.mint && 'url' in signIn.mint) yield* flawsOfVerify(provider, signIn.mint.url, `${at}.mint.url`)
  yield* flawsOfPlainLink(signIn.console, `${at}.console`)
}

function* flawsOfPresent(
  provider: Provider,
  signIn: SignIn,
  way: Presentation,
  field: string,
): Generator<Flaw> {
  const worn = wornFields(way)
  if (worn.length === 0) yield { field, words: 'must name a field for the user, the password or both' }
  for (const name of worn) {
    const found = signIn.fields.find((one) => one.name === name)
    if (!found && issuedBy(provider, signIn).includes(name)) continue
    if (provider.oauth && name === ISSUED) continue
    if (!found) yield { field, words: `names the field "${name}", which is not among fields` }
    else if (found.optional && !('header' in way && way.optional))
      yield { field, words: `must be optional, as its field "${name}" is` }
  }
  if ('basic' in way) yield* flawsOfPair(way.basic, field)
  if (!('header' in way)) return
  if (NOT_WORN.has(way.header)) yield { field, words: `cannot use the header "${way.header}"` }
  if (Object.hasOwn(provider.headers, way.header))
    yield { field, words: `repeats the header "${way.header}"` }
}

function* flawsOfPair(
  { user, password, fixed = {} }: Extract<Presentation, { basic: unknown }>['basic'],
  field: string,
): Generator<Flaw> {
  for (const [name, of] of Object.entries({ user, password }))
    if (of !== undefined && Object.hasOwn(fixed, name))
      yield { field: `${field}.basic.fixed.${name}`, words: 'cannot stand beside a field of its own' }
}

function* flawsOfVerify(provider: Provider, url: string, field: string): Generator<Flaw> {
  yield* undeclared(provider, url, field)
  const host = /^https?:\/\/([^/?#]+)/.exec(url)?.[1] ?? ''
  if (!provider.hosts.includes(host)) yield { field, words: 'must go to one of hosts' }
}

/** A link that is shown to people before the variables are known. */
function* flawsOfPlainLink(link: string | undefined, field: string): Generator<Flaw> {
  if (link === undefined) return
  if (!URL.canParse(link) || placeholders(link).length > 0)
    yield { field, words: 'must be an address without variables' }
}

function* repeated(all: readonly { readonly name: string }[], field: string): Generator<Flaw> {
  const names = all.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice) yield { field, words: `uses the name "${twice}" twice` }
  if (names.includes(RESERVED)) yield { field, words: `cannot use the name "${RESERVED}"` }
}
