import { formatAddress, parseAddress, ValetkeyError } from '#client'
import { type Caller, isOwner } from '../../../../model/caller.ts'
import type { Desk } from '../../../../model/words.ts'
import type { Failing } from '../codes.ts'
import type { Kept } from '../door.ts'
import type { Frame } from '../frames.ts'
import type { Version } from '../limits.ts'

/** How a client is told that a sign-in goes on. */
export type FlowType = 'pkce_redirect' | 'browser_redirect' | 'device_code'

/** Who asks, and with what it is answered. */
export interface Seat {
  readonly kept: Kept
  readonly desk: Desk
  readonly caller: Caller
  readonly version: Version
}

export interface Op {
  readonly failing: Failing
  run(seat: Seat, payload: Frame): Promise<object>
}

export function op(run: Op['run'], failing: Failing = 'INTERNAL_ERROR'): Op {
  return { run, failing }
}

/** Whoever is not the owner is sandboxed, whatever it is called. */
export function isSandboxed({ caller }: Seat): boolean {
  return !isOwner(caller)
}

const LONGEST = 16 * 1024

export function textIn(payload: Frame, name: string): string {
  const value = payload[name]
  if (typeof value === 'string' && value !== '' && value.length <= LONGEST) return value
  throw new ValetkeyError('invalid-request', `"${name}" is missing`)
}

export function optionalText(payload: Frame, name: string): string | undefined {
  const value = payload[name]
  return value === undefined || value === null || value === '' ? undefined : textIn(payload, name)
}

/** The account that a payload names, where this caller may know of it at all. */
export function addressIn(seat: Seat, payload: Frame): string {
  const provider = textIn(payload, 'provider')
  return addressAt(seat, provider, optionalText(payload, 'bucket') ?? 'default')
}

/** A key is named as its account is: `openai`, or `openai/work`. */
export function addressNamed(seat: Seat, name: string): string {
  const [provider = '', bucket = 'default'] = name.split('/')
  return addressAt(seat, provider, bucket, name)
}

function addressAt(seat: Seat, provider: string, bucket: string, written = `${provider}/${bucket}`): string {
  if (!mayKnow(seat, provider, bucket)) throw notForYou()
  const address = parseAddress(written)
  if (address !== undefined) return formatAddress(address)
  throw new ValetkeyError('invalid-request', 'this is no account')
}

export function mayKnow({ kept: { options } }: Seat, provider: string, bucket?: string): boolean {
  const { providers = [], buckets = [] } = options.allowed ?? {}
  const isKnown = (some: readonly string[], one: string | undefined) =>
    one === undefined || some.length === 0 || some.includes(one)
  return isKnown(providers, provider) && isKnown(buckets, bucket)
}

export function notForYou(): ValetkeyError {
  return new ValetkeyError('not-allowed', 'this is not for this caller')
}
