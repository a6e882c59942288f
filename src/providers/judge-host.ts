import type { Provider } from '../model/provider.ts'
import { isLoopback, isPublicHostName } from './host-name.ts'
import { isOneOwners } from './registered-domain.ts'
import { placeholders } from './template.ts'

/** What is wrong with a provider that has the right shape: which field, and why, in words. */
export interface Flaw {
  readonly field: string
  readonly words: string
}

/**
 * A variable never moves a credential to a host that its owner did not see: it stands before a
 * domain that is one owner's, or is one of a closed list, or is the whole host, asked for as such.
 */
export function* flawsOfHost(provider: Provider, template: string, field: string): Generator<Flaw> {
  if (isLoopback(template)) return
  yield* undeclared(provider, template, field)
  const host = template.replace(/:\d+$/, '')
  const bare = host.replaceAll(/\{\w+\}/g, 'x')
  if (bare !== bare.toLowerCase()) yield { field, words: 'must be in lower case' }
  else if (placeholders(host).length === 0) {
    if (!isPublicHostName(host)) yield { field, words: 'must be a public host name' }
  } else if (!/^\{\w+\}$/.test(host)) yield* flawsOfPart(provider, host, field)
}

/** Of a host that a variable is only a part of. */
function* flawsOfPart(provider: Provider, host: string, field: string): Generator<Flaw> {
  const domains = endings(provider, host)
  const fixed = domains.length > 0 && domains.every((one) => isPublicHostName(one.replace(/^\./, '')))
  if (!fixed) yield { field, words: 'must end in a fixed domain, or in a variable with a list of choices' }
  const shared = domains.find((one) => one.startsWith('.') && !isOneOwners(one.slice(1)))
  if (fixed && shared)
    yield { field, words: `ends in ${shared.slice(1)}, below which anybody may have a name` }
}

/**
 * What can stand behind the last variable that is free: a domain with a dot before it, or a whole
 * host where all is chosen from lists. Empty where that is not known.
 */
function endings(provider: Provider, host: string): readonly string[] {
  const [, before = '', name, after = ''] = /^(.*)\{(\w+)\}([^{}]*)$/.exec(host) ?? []
  if (name === undefined) return [host]
  const choices = choicesOf(provider, name)
  if (choices === undefined) return after.includes('.') ? [after.slice(after.indexOf('.'))] : []
  return choices.flatMap((choice) => endings(provider, before + choice + after))
}

/** All that a variable can be; undefined where that is not known. */
function choicesOf({ vars }: Provider, name: string): readonly string[] | undefined {
  const { choices, decided } = vars.find((variable) => variable.name === name) ?? {}
  return choices ?? (decided && Object.values(decided.values))
}

export function* undeclared({ vars }: Provider, text: string, field: string): Generator<Flaw> {
  const left = text.replaceAll(/\{([a-zA-Z][a-zA-Z0-9_]*)\}/g, (whole, name) =>
    vars.some((variable) => variable.name === name) ? '' : whole,
  )
  if (/[{}]/.test(left)) yield { field, words: 'names a variable that is not among vars' }
}
