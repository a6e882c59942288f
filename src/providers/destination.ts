import { ValetkeyError } from '#client'
import { type Destination, fits, type Provider, type Variable } from '../model/provider.ts'
import { isLoopback, isPublicHostName } from './host-name.ts'
import { fill } from './template.ts'

// What no value of a variable may hold, whatever its pattern says: all that could end a host,
// begin a port, a path or a user, be decoded into one of these, or climb up a path.
const PLAIN = /^(?!\.+$)[a-zA-Z0-9._-]{1,253}$/
// A whole address, such as an issuer: a host and a path, whose segments do not begin with a dot.
// What stands at its end is kept to the letter, since issuers are compared that way.
const ADDRESS =
  /^(?:https:\/\/)?([a-z0-9.-]{1,253})(:\d{1,5})?((?:\/[a-zA-Z0-9_~-][a-zA-Z0-9._~-]*){0,16}\/?)$/

/** Where a provider's credential goes once its variables are known; and there alone. */
export function destinationOf(
  provider: Provider,
  vars: Readonly<Record<string, string>>,
  standIn: URL | undefined,
): Destination {
  const values = new Map(provider.vars.map((variable) => [variable.name, valueFor(provider, variable, vars)]))
  const hosts = provider.hosts.map((host) =>
    parsed(
      provider,
      isLoopback(host) ? `http://${host}` : `https://${publicHost(provider, fill(host, values))}`,
    ),
  )
  const place = (link: string | URL) =>
    moved(link instanceof URL ? link : parsed(provider, fill(link, values)), standIn)
  return {
    base: standIn ?? first(hosts),
    own: hosts.map(({ origin }) => origin),
    origins: standIn ? [standIn.origin] : hosts.map(({ origin }) => origin),
    place,
  }
}

function valueFor(provider: Provider, variable: Variable, vars: Readonly<Record<string, string>>): string {
  const given = Object.hasOwn(vars, variable.name) ? vars[variable.name] : undefined
  const value = given || variable.default
  if (value === undefined) throw wrong(provider, variable, `${provider.id} needs its ${variable.name}`)
  if (isValueOf(provider, variable, value)) return value.replace(/^https:\/\//, '')
  throw wrong(provider, variable, `this cannot be the ${variable.name} of ${provider.id}`)
}

/** Whether a variable may have this value: a whole address where it is one, else a part of one. */
export function isValueOf(provider: Provider, variable: Variable, value: string): boolean {
  if (!isAddressOf(provider, variable.name)) return isPart(variable, value)
  const [, host = ''] = ADDRESS.exec(value) ?? []
  return isPublicHostName(host) && (variable.pattern === undefined || fits(variable.pattern, value))
}

/** A variable that is all of an endpoint, and not a part of it: asked for as such. */
export function isAddressOf({ oauth }: Provider, name: string): boolean {
  return Object.values(oauth ?? {}).includes(`https://{${name}}`)
}

/** A declared form is the whole truth; without one a value is a single label of a host. */
function isPart(variable: Variable, value: string): boolean {
  if (!PLAIN.test(value)) return false
  if (variable.choices && !variable.choices.includes(value)) return false
  if (variable.pattern !== undefined && !fits(variable.pattern, value)) return false
  return Boolean(variable.choices || variable.pattern) || fits('[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?', value)
}

function wrong(provider: Provider, variable: Variable, message: string): ValetkeyError {
  const said = variable.choices ? `one of ${variable.choices.join(', ')}` : variable.hint
  return new ValetkeyError('invalid-request', message, {
    hint: `${variable.label} of ${provider.name}${said ? `: ${said}` : ''}`,
  })
}

function publicHost(provider: Provider, host: string): string {
  if (isPublicHostName(host.replace(/:\d+$/, ''))) return host
  throw new ValetkeyError('invalid-request', `the host of ${provider.id} is not a public name`, {
    hint: 'a name such as api.example.com; private hosts are opened by the configuration alone',
  })
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
