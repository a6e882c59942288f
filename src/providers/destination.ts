import { ValetkeyError } from '#client'
import { fits } from '../model/provider/forms.ts'
import type { Destination, Provider, Variable } from '../model/provider.ts'
import { isLoopback, isPublicHostName } from './host-name.ts'
import { registeredName } from './registered-domain.ts'
import { fill } from './template.ts'

// What no value of a variable may hold, whatever its pattern says: all that could end a host,
// begin a port, a path or a user, be decoded into one of these, or climb up a path.
const PLAIN = /^(?!\.+$)[a-zA-Z0-9._-]{1,253}$/
// A whole address, such as an issuer: a host and a path, whose segments do not begin with a dot.
// What stands at its end is kept to the letter, since issuers are compared that way.
const PATH = '(?:(?:\\/[a-zA-Z0-9_~-][a-zA-Z0-9._~-]*){0,16}\\/?)'
const ADDRESS = new RegExp(`^(?:https:\\/\\/)?([a-z0-9.-]{1,253})(?::\\d{1,5})?${PATH}$`)
/** A server on this very computer, which the way out reaches where the operator opened its port. */
const LOOPBACK = new RegExp(`^http:\\/\\/127\\.0\\.0\\.1:\\d{1,5}${PATH}$`)
const SCHEME = /^https?:\/\//
/** A default that is the host of another variable. */
const SAME_HOST = /^\{(\w+)\}$/

/** Where a provider's credential goes once its variables are known; and there alone. */
export function destinationOf(
  provider: Provider,
  vars: Readonly<Record<string, string>>,
  standIn: URL | undefined,
): Destination {
  const values = new Map(
    provider.vars
      .filter((variable) => isKnown(provider, variable, vars))
      .map((variable) => [variable.name, valueFor(provider, variable, vars)]),
  )
  const filled = (text: string, host: string) => {
    const missing = provider.vars.find(({ name }) => !values.has(name) && text.includes(`{${name}}`))
    if (missing !== undefined) valueFor(provider, missing, vars)
    refuseStraying(provider, host, values)
    return fill(text, values)
  }
  const hosts = provider.hosts.map((host) => originOf(provider, filled(host, host)))
  const place = (link: string | URL) =>
    moved(link instanceof URL ? link : parsed(provider, filled(bare(provider, link), hostOf(link))), standIn)
  return {
    base: standIn ?? first(hosts),
    own: hosts.map(({ origin }) => origin),
    origins: standIn ? [standIn.origin] : hosts.map(({ origin }) => origin),
    place,
  }
}

type Values = Readonly<Record<string, string>>

/** What stands in no host may become known later, and is missed only where it is wanted. */
function isKnown({ hosts }: Provider, { name, default: usual, decided }: Variable, vars: Values): boolean {
  return Boolean(
    vars[name] || usual !== undefined || decided || hosts.some((host) => host.includes(`{${name}}`)),
  )
}

function valueFor(provider: Provider, variable: Variable, vars: Values): string {
  if (variable.decided) return decidedFor(provider, variable.decided, vars)
  const given = Object.hasOwn(vars, variable.name) ? vars[variable.name] : undefined
  const value = given || variable.default
  if (value === undefined) throw wrong(provider, variable, `${provider.id} needs its ${variable.name}`)
  const other = value === variable.default ? sameHost(provider, value) : undefined
  if (other) return new URL(valueFor(provider, other, vars)).host
  if (!isValueOf(provider, variable, value))
    throw wrong(provider, variable, `this cannot be the ${variable.name} of ${provider.id}`)
  return isAddressOf(provider, variable.name) && !SCHEME.test(value) ? `https://${value}` : value
}

/** What is decided is not asked for, and not taken from anybody. */
function decidedFor(
  provider: Provider,
  { by, values }: NonNullable<Variable['decided']>,
  vars: Values,
): string {
  const decider = provider.vars.find(({ name }) => name === by)
  const value = decider && values[valueFor(provider, decider, vars)]
  if (value !== undefined) return value
  throw new ValetkeyError('config-invalid', `${provider.id} does not say what follows from its ${by}`)
}

/** The variable, a whole address, whose host is the usual value of this one. */
export function sameHost(provider: Provider, usual: string | undefined): Variable | undefined {
  const [, of] = SAME_HOST.exec(usual ?? '') ?? []
  return provider.vars.find(({ name }) => name === of && isAddressOf(provider, name))
}

/** Whether a variable may have this value: a whole address where it is one, else a part of one. */
export function isValueOf(provider: Provider, variable: Variable, value: string): boolean {
  if (!isAddressOf(provider, variable.name)) return isPart(variable, value)
  const [, host = ''] = ADDRESS.exec(value) ?? []
  const isThere = isPublicHostName(host) || LOOPBACK.test(value)
  return isThere && (variable.pattern === undefined || fits(variable.pattern, value))
}

/** A variable that is all of an endpoint, and not a part of it: asked for as such. */
export function isAddressOf({ oauth }: Provider, name: string): boolean {
  const links: readonly unknown[] = [oauth ?? {}, oauth?.device ?? {}].flatMap(Object.values)
  return links.includes(`https://{${name}}`)
}

/** A declared form is the whole truth; without one a value is a single label of a host. */
function isPart(variable: Variable, value: string): boolean {
  if (!PLAIN.test(value)) return false
  if (variable.choices && !variable.choices.includes(value)) return false
  if (variable.pattern !== undefined && !fits(variable.pattern, value)) return false
  return Boolean(variable.choices || variable.pattern) || fits('[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?', value)
}

/** A variable may be a part of a host, but not of the name by which the host is somebody's. */
function refuseStraying(provider: Provider, template: string, values: ReadonlyMap<string, string>): void {
  const host = template.replace(/:\d+$/, '')
  if (!host.includes('{') || /^\{\w+\}$/.test(host)) return
  const free = provider.vars.filter(({ choices, decided }) => !choices && !decided)
  const masks = free.map(({ name }) => [name, '*'.repeat(values.get(name)?.length ?? 0)] as const)
  const owner = registeredName(fill(host, values))
  if (
    !owner ||
    !fill(host, new Map([...values, ...masks]))
      .slice(...owner)
      .includes('*')
  )
    return
  throw new ValetkeyError('invalid-request', `the host of ${provider.id} would be somebody else's`, {
    hint: `only the part before ${host.replace(/^.*\}/, '')} is yours to say`,
  })
}

function hostOf(link: string): string {
  return /^https?:\/\/([^/?#]*)/.exec(link)?.[1] ?? ''
}

function wrong(provider: Provider, variable: Variable, message: string): ValetkeyError {
  const said = variable.choices ? `one of ${variable.choices.join(', ')}` : variable.hint
  return new ValetkeyError('invalid-request', message, {
    hint: `${variable.label} of ${provider.name}${said ? `: ${said}` : ''}`,
  })
}

function originOf(provider: Provider, host: string): URL {
  if (isLoopback(host)) return parsed(provider, `http://${host}`)
  if (isPublicHostName(host.replace(/:\d+$/, ''))) return parsed(provider, `https://${host}`)
  throw new ValetkeyError('invalid-request', `the host of ${provider.id} is not a public name`, {
    hint: 'a name such as api.example.com; private hosts are opened by the configuration alone',
  })
}

/** A variable that is a whole address brings its scheme along. */
function bare(provider: Provider, link: string): string {
  return link.replace(/^https:\/\/(\{(\w+)\})/, (whole, placeholder: string, name: string) =>
    isAddressOf(provider, name) ? placeholder : whole,
  )
}

function parsed(provider: Provider, link: string): URL {
  const url = URL.parse(link)
  if (url) return url
  throw new ValetkeyError('invalid-request', `a link of ${provider.id} is no address`)
}

// The parts are set one by one: a path such as //elsewhere.test, resolved against an origin, would leave it.
function moved(url: URL, standIn: URL | undefined): URL {
  if (!standIn) return url
  const at = new URL(standIn)
  at.pathname = url.pathname
  at.search = url.search
  return at
}

function first(hosts: readonly URL[]): URL {
  const [base] = hosts
  if (!base) throw new ValetkeyError('config-invalid', 'a provider names no host')
  return base
}
