import type { Provider, SignIn, Variable } from '../model/provider.ts'
import { isAddressOf } from './destination.ts'
import type { Flaw } from './judge-host.ts'
import { LINKS } from './judge-oauth.ts'
import { flawsOfRequest, hostOf } from './judge-request.ts'
import { isOneOwners } from './registered-domain.ts'
import { placeholders } from './template.ts'

/** What an answer to a request for authorization says, and is read for something else than a variable. */
const THEIRS = new Set(['code', 'state', 'iss', 'error', 'error_description', 'error_uri'])

/** Where something is read in the answer of a token endpoint, and no secret is. */
const SECRETS = new Set(['/access_token', '/refresh_token', '/id_token'])

interface Telling {
  readonly field: string
  readonly name: string
  readonly by: 'browser' | 'server'
}

/**
 * Variables that no person fills in are told by whoever answers. What is told chooses among what the file lists,
 * or has a form; and where it says a host, that form leaves no doubt whose host it is.
 */
export function* flawsOfTold(provider: Provider, signIn: SignIn, at: string): Generator<Flaw> {
  const all = tellings(signIn, at)
  for (const telling of all) yield* flawsOfTelling(provider, telling)
  for (const parameter of Object.keys(signIn.captures))
    if (THEIRS.has(parameter)) yield { field: `${at}.captures.${parameter}`, words: 'is not for a variable' }
  for (const pointer of [...Object.keys(signIn.told), signIn.whose?.subject, signIn.whose?.displayName])
    if (pointer !== undefined && SECRETS.has(pointer))
      yield { field: `${at}.told`, words: 'is a secret there' }
  const servers = all.filter(({ by }) => by === 'server')
  const twice = servers.find(({ name }, i) => servers.findIndex((one) => one.name === name) !== i)
  if (twice) yield { field: twice.field, words: `tells "${twice.name}" once more` }
  for (const [i, { request }] of signIn.lookups.entries())
    yield* flawsOfRequest(provider, request, { field: `${at}.lookups[${i}].request`, fields: signIn.fields })
  yield* flawsOfSigned(provider, signIn, at)
}

function tellings({ captures, told, lookups, exchange }: SignIn, at: string): readonly Telling[] {
  const traded = exchange && 'request' in exchange ? Object.entries(exchange.told) : []
  return [
    ...Object.entries(captures).map(
      ([parameter, name]) => ({ field: `${at}.captures.${parameter}`, name, by: 'browser' }) as const,
    ),
    ...Object.entries(told).map(
      ([pointer, name]) => ({ field: `${at}.told.${pointer}`, name, by: 'server' }) as const,
    ),
    ...lookups.map(({ as: name }, i) => ({ field: `${at}.lookups[${i}].as`, name, by: 'server' }) as const),
    ...traded.map(
      ([pointer, name]) => ({ field: `${at}.exchange.told.${pointer}`, name, by: 'server' }) as const,
    ),
  ]
}

function* flawsOfTelling(provider: Provider, { field, name, by }: Telling): Generator<Flaw> {
  const variable = provider.vars.find((one) => one.name === name)
  if (variable === undefined) return yield { field, words: `names "${name}", which is not among vars` }
  if (variable.decided) return yield { field, words: `cannot tell "${name}", which is decided by another` }
  if (!variable.choices && variable.pattern === undefined)
    return yield { field, words: 'must be a variable with a list of choices, or of a form' }
  yield* flawsOfPlace(provider, variable, { field, name, by })
}

function* flawsOfPlace(
  provider: Provider,
  variable: Variable,
  { field, name, by }: Telling,
): Generator<Flaw> {
  const { oauth, hosts } = provider
  const links = LINKS.flatMap((link) => oauth?.[link] ?? []).filter((link) =>
    placeholders(link).includes(name),
  )
  if (isAddressOf(provider, name)) yield { field, words: 'is a whole address, which nobody else can tell' }
  // What the browser says again was asked for before it was sent off, and has to be the same.
  const isAsked = [oauth?.issuer, oauth?.authorize].some((link) => link && links.includes(link))
  const isKnownLater = by === 'server' ? links.length > 0 : links.length > 0 && !isAsked && !variable.choices
  if (isKnownLater) yield { field, words: 'is known only after the authorization server was asked' }
  if (isAsked && by === 'browser' && variable.choices)
    yield { field, words: 'is known only after the person was sent off' }
  const isHost = [...hosts, ...links.map(hostOf)].some((host) => host.replace(/:\d+$/, '') === `{${name}}`)
  if (isHost && !(isAsked && by === 'browser') && !variable.choices && !isBound(variable.pattern ?? ''))
    yield {
      field,
      words: 'says a whole host, so its form must end in a domain of one owner, letter by letter',
    }
}

function* flawsOfSigned({ oauth }: Provider, { signed }: SignIn, at: string): Generator<Flaw> {
  if (signed === undefined) return
  if (!oauth) yield { field: `${at}.signed`, words: 'needs oauth' }
  if (THEIRS.has(signed.parameter)) yield { field: `${at}.signed.parameter`, words: 'is not for a signature' }
}

/** Whether whatever has this form ends in a domain that is somebody's, as it stands in the pattern. */
function isBound(pattern: string): boolean {
  return alternatives(pattern).every((one) => {
    const [tail] = /(?:\\\.[a-z0-9-]+){2,}$/.exec(one) ?? []
    return tail !== undefined && isOneOwners(tail.replaceAll('\\.', '.').slice(1))
  })
}

/** What stands between the bars that are in no group and no class. */
function alternatives(pattern: string): readonly string[] {
  const parts = ['']
  let depth = 0
  for (const [piece] of pattern.matchAll(/\\.|\[(?:\\.|[^\]\\])*\]|[\s\S]/g)) {
    if (piece === '(') depth += 1
    if (piece === ')') depth -= 1
    if (piece === '|' && depth === 0) parts.push('')
    else parts[parts.length - 1] += piece
  }
  return parts
}
