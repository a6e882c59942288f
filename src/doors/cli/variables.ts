import { type Lent, type Programs, type ProviderCard, parseAddress } from '#client'
import { usage } from './failure.ts'
import { pairOf, quoted, writtenAddress } from './words.ts'

/** The variables in which a program is given an account. */
export interface Naming {
  readonly address: string
  readonly programs: Programs
  /** As they were named, instead of the usual ones. */
  readonly secret: readonly string[]
  readonly url: readonly string[]
}

export interface NamingWords {
  readonly env?: readonly string[]
  readonly url?: readonly string[]
}

const NOBODY_KNOWS: Programs = { token: [], fields: {}, baseUrl: null, key: [] }

/** By address, for every account that a program shall have. */
export function namingOf(
  cards: readonly ProviderCard[],
  addresses: readonly string[],
  { env = [], url = [] }: NamingWords,
): (address: string) => Naming {
  const secrets = pairsOf(env, '--env', addresses)
  const urls = pairsOf(url, '--url', addresses)
  return (address) => {
    const provider = parseAddress(address)?.provider
    const card = cards.find(({ id }) => id === provider)
    const named = (pairs: readonly Pair[]) => pairs.flatMap((pair) => (pair[1] === address ? [pair[0]] : []))
    return {
      address,
      programs: card?.programs ?? NOBODY_KNOWS,
      secret: named(secrets),
      url: named(urls),
    }
  }
}

type Pair = readonly [string, string]

function pairsOf(texts: readonly string[], option: string, addresses: readonly string[]): readonly Pair[] {
  return texts.map((text) => {
    const [name, value] = pairOf(text, option)
    const address = writtenAddress(value)
    if (addresses.includes(address)) return [name, address]
    throw usage(`${quoted(address)} is not given to the program`, `add --with ${address}, or --forward`)
  })
}

/** Throws `usage` where it is not known in which variables a program looks for a token, before it is lent. */
export function refuseUnknownToken({ address, programs, secret }: Naming): void {
  const known = [...secret, ...programs.token, ...Object.values(programs.fields).flat()]
  if (known.length === 0) throw unknownVariable('the token', address, '--env')
}

export function refuseUnknownGateway({ address, programs, secret, url }: Naming): void {
  const urls = url.length > 0 ? url : (programs.baseUrl?.variables ?? [])
  if (urls.length === 0) throw unknownVariable('the base URL', address, '--url')
  const keys = secret.length > 0 ? secret : programs.key
  if (keys.length === 0) throw unknownVariable('the key', address, '--env')
}

/** What was lent, field by field where programs look for it so. */
export function variablesOfLent({ address, programs, secret }: Naming, lent: Lent): readonly Pair[] {
  if (secret.length > 0) return secret.map((name) => [name, lent.token])
  const fields = Object.entries(lent.fields).flatMap(([field, value]) =>
    (Object.hasOwn(programs.fields, field) ? (programs.fields[field] ?? []) : []).map(
      (name): Pair => [name, value],
    ),
  )
  if (fields.length > 0) return fields
  if (programs.token.length === 0) throw unknownVariable('the token', address, '--env')
  return programs.token.map((name) => [name, lent.token])
}

/** Where its requests go, and what it shows there. */
export function variablesOfGateway(
  { address, programs, secret, url }: Naming,
  gateway: string,
  key: string,
): readonly Pair[] {
  const { provider = '', bucket = '' } = parseAddress(address) ?? {}
  const base = `${gateway}/forward/${provider}/${bucket}${programs.baseUrl?.path ?? ''}`
  const urls = url.length > 0 ? url : (programs.baseUrl?.variables ?? [])
  const keys = secret.length > 0 ? secret : programs.key
  return [...urls.map((name): Pair => [name, base]), ...keys.map((name): Pair => [name, key])]
}

/** One variable holds one thing. */
export function inOne(pairs: readonly Pair[]): Readonly<Record<string, string>> {
  const held = new Map<string, string>()
  for (const [name, value] of pairs) {
    if (held.has(name))
      throw usage(`two accounts would be in ${name}`, 'name another variable for one of them, by --env')
    held.set(name, value)
  }
  return Object.fromEntries(held)
}

function unknownVariable(what: string, address: string, option: string) {
  return usage(
    `it is not known in which variable programs look for ${what} of ${address}`,
    `name it: ${option} NAME=${address}`,
  )
}
