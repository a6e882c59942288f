import { type Address, type Desk, formatAddress, parseAddress, ValetkeyError } from '#client'
import { isCallerId, isOwnerId, THE_PERSON } from '../../model/caller.ts'
import { keyInArgv, usage } from './failure.ts'
import { holdsKey, looksLikeKey } from './looks-like-key.ts'
import { nearest } from './nearest.ts'

const KINDS = 'person:, app:, key:, socket:, node: or workload:'

/** A secret on the command line is refused before anything else is looked at, and never repeated. */
export function refuseKeys(argv: readonly string[]): void {
  if (argv.some(holdsKey)) throw keyInArgv()
}

/** An account's address as it was typed. */
export function addressOf(text: string): Address {
  if (looksLikeKey(text)) throw keyInArgv()
  const address = parseAddress(text)
  if (address === undefined) {
    throw usage(`${quoted(text)} is not an address`, 'write provider or provider/bucket, such as github/work')
  }
  return address
}

export function writtenAddress(text: string): string {
  return formatAddress(addressOf(text))
}

/** A caller's id; `me` is the person whose accounts these are. */
export function callerOf(text: string): string {
  if (text === 'me') return THE_PERSON
  if (isCallerId(text)) return text
  if (looksLikeKey(text)) throw keyInArgv()
  const hint = /^[\w.-]+$/.test(text) ? `for a program write app:${text}` : 'for a program write app:its-name'
  throw usage(
    `${quoted(text)} is not a caller; callers begin with ${KINDS}`,
    `${hint}; for yourself write me`,
  )
}

/** Whose accounts are meant; `me` is the person whose accounts these are. */
export function ownerOf(text: string): string {
  if (text === 'me') return THE_PERSON
  if (isOwnerId(text)) return text
  if (looksLikeKey(text)) throw keyInArgv()
  throw usage(`${quoted(text)} is not an owner`, 'write person:ada, or group:ops; for yourself write me')
}

/** The pieces of `lend,forward`, each one of a closed list. */
export function listOf<T extends string>(text: string, allowed: readonly T[], what: string): T[] {
  const words = text.split(',').map((word) => word.trim())
  return [...new Set(words.map((word) => oneOf(word, allowed, what)))]
}

export function oneOf<T extends string>(text: string, allowed: readonly T[], what: string): T {
  const found = allowed.find((word) => word === text)
  if (found !== undefined) return found
  throw usage(`${quoted(text)} is not ${what}`, suggestion(text, allowed))
}

export function wholeNumber(text: string, what: string, least: number, most: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw usage(`${quoted(text)} is not ${what}`, `a whole number from ${least} to ${most}`)
}

/** `name=value`; the value may hold further equal signs. */
export function pairOf(text: string, option: string): readonly [string, string] {
  const [, name, value] = /^([a-zA-Z]\w*)=(.*)$/s.exec(text) ?? []
  if (name === undefined || value === undefined) {
    throw usage(`${option} takes name=value`, `such as ${option} site=datadoghq.eu`)
  }
  return [name, value]
}

export function suggestion(text: string, allowed: readonly string[]): string {
  const near = nearest(text, allowed)
  return near === undefined ? `one of ${allowed.join(', ')}` : `did you mean ${near}?`
}

/** Adds the nearest name to a refusal of an unknown provider. */
export async function suggestingProvider<T>(desk: Desk, id: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof ValetkeyError) || error.code !== 'unknown-provider') throw error
    const cards = await desk.providers().catch(() => [])
    throw unknownProvider(
      id,
      cards.map((card) => card.id),
    )
  }
}

export function unknownProvider(id: string, known: readonly string[]): ValetkeyError {
  return new ValetkeyError('unknown-provider', `no provider is called ${quoted(id)}`, {
    hint: whereToFind(id, known),
  })
}

function whereToFind(id: string, known: readonly string[]): string {
  // It is there only while a server runs it.
  if (id === 'practice') return 'npm start runs one to practise on'
  const near = nearest(id, known)
  return near === undefined
    ? 'valetkey providers lists them'
    : `did you mean ${near}? valetkey providers lists them all`
}

/** As it was typed, unless it could be a secret. */
export function quoted(text: string): string {
  return looksLikeKey(text) || text.length > 60 ? 'this' : JSON.stringify(text)
}
