import type { Provider } from '../model/provider.ts'
import { isLoopback, isPublicHostName } from './host-name.ts'
import { placeholders } from './template.ts'

/** What is wrong with a provider that has the right shape: which field, and why, in words. */
export interface Flaw {
  readonly field: string
  readonly words: string
}

/**
 * A variable never moves a credential to a host that its owner did not see: it stands before a
 * fixed domain, or is one of a closed list, or is the whole host, asked for as such.
 */
export function* flawsOfHost(provider: Provider, template: string, field: string): Generator<Flaw> {
  if (isLoopback(template)) return
  yield* undeclared(provider, template, field)
  const host = template.replace(/:\d+$/, '')
  const fixed = host.replace(/^.*\}/, '')
  if (host.replaceAll(/\{\w+\}/g, 'x') !== host.replaceAll(/\{\w+\}/g, 'x').toLowerCase())
    yield { field, words: 'must be in lower case' }
  else if (fixed === host && !isPublicHostName(host)) yield { field, words: 'must be a public host name' }
  else if (fixed !== host && !staysPut(provider, host, fixed))
    yield { field, words: 'must end in a fixed domain, or in a variable with a list of choices' }
}

function staysPut({ vars }: Provider, host: string, fixed: string): boolean {
  if (/^\{\w+\}$/.test(host)) return true
  if (fixed.startsWith('.') && isPublicHostName(fixed.slice(1))) return true
  const last = placeholders(host).at(-1)
  return fixed === '' && vars.some(({ name, choices }) => name === last && choices !== undefined)
}

export function* undeclared({ vars }: Provider, text: string, field: string): Generator<Flaw> {
  const left = text.replaceAll(/\{([a-zA-Z][a-zA-Z0-9_]*)\}/g, (whole, name) =>
    vars.some((variable) => variable.name === name) ? '' : whole,
  )
  if (/[{}]/.test(left)) yield { field, words: 'names a variable that is not among vars' }
}
