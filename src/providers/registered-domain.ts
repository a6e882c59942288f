import { getDomain } from 'tldts'

// The list with its private half: under herokuapp.com or github.io every name is somebody else's too.
const LIST = { allowPrivateDomains: true } as const

/**
 * Whether a name below a domain is its owner's, as it is not where strangers register names: below
 * co.uk, and below what the public suffix list says of its own kind.
 */
export function isOneOwners(domain: string): boolean {
  const registered = getDomain(domain, LIST)
  return registered !== null && getDomain(`x.${domain}`, LIST) === registered
}

/** Where in a host the name stands that somebody registered; undefined for a suffix itself. */
export function registeredName(host: string): readonly [from: number, to: number] | undefined {
  const registered = getDomain(host, LIST)
  if (registered === null) return undefined
  const from = host.length - registered.length
  return [from, from + registered.indexOf('.')]
}
