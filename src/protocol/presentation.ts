import { Buffer } from 'node:buffer'
import { ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { Presentation } from '../model/provider.ts'

type BasicFields = Extract<Presentation, { basic: unknown }>['basic']

export type Header = readonly [name: string, value: string]

/**
 * The headers by which a request wears a credential, the provider's own first. It takes nothing
 * away: what a caller sent under these names is for the broker to drop.
 */
export function wear(
  present: readonly Presentation[],
  headers: Readonly<Record<string, string>>,
  credential: Credential,
): readonly Header[] {
  return [...Object.entries(headers), ...present.flatMap((way) => worn(way, credential))]
}

function worn(way: Presentation, credential: Credential): readonly Header[] {
  if ('basic' in way) return [['authorization', `Basic ${pair(way.basic, credential)}`]]
  if ('sigv4' in way) return []
  const value = read(credential, way.field)
  if (value === undefined && way.optional) return []
  return [[way.header, headerValue((way.prefix ?? '') + required(value, way.field))]]
}

// RFC 7617: the user ends at the first colon, and neither half holds control characters.
function pair({ fixed = {}, userEnds = '', ...basic }: BasicFields, credential: Credential): string {
  const half = (field: string | undefined, otherwise = '') =>
    field === undefined ? otherwise : required(read(credential, field), field)
  const user = half(basic.user, fixed.user) + userEnds
  const password = half(basic.password, fixed.password)
  if (user.includes(':') || hasControls(user + password)) throw unwearable()
  return Buffer.from(`${user}:${password}`, 'utf8').toString('base64')
}

function read(credential: Credential, field: string): string | undefined {
  return Object.hasOwn(credential.worn, field) ? credential.worn[field]?.reveal() : undefined
}

function required(value: string | undefined, field: string): string {
  if (value !== undefined) return value
  throw new ValetkeyError('needs-reauth', `the stored credential has no field "${field}"`, {
    hint: 'connect the account again',
  })
}

/** Visible ASCII with spaces inside: nothing that could begin a header of its own. */
function headerValue(value: string): string {
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value)) throw unwearable()
  return value
}

function hasControls(text: string): boolean {
  return /\p{Cc}/u.test(text)
}

function unwearable(): ValetkeyError {
  return new ValetkeyError('key-format', 'this value cannot be sent in a request', {
    hint: 'check that it was copied whole, and nothing else with it',
  })
}
