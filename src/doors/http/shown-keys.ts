import { Buffer } from 'node:buffer'
import { holdsKeyText, isMeantAsKey } from '../../model/valet-key.ts'

/** Where programs put the credential of a provider, and so the key that stands in for it. */
const USUAL = ['authorization', 'x-api-key', 'api-key'] as const
const NO_MORE: readonly string[] = []

/** A key as a request shows it. */
export interface Shown {
  readonly key: string
  readonly scheme: string
}

/** The part of a request's headers that is read. */
export interface Headers {
  get(name: string): string | null
}

/** All that is shown where keys are shown; the same one twice is one. */
export function shownKeys(headers: Headers, more: readonly string[] = NO_MORE): readonly Shown[] {
  const shown = new Map<string, Shown>()
  for (const name of namesOf(more)) {
    const value = headers.get(name)
    if (value) for (const one of readHeader(value)) shown.set(one.key, one)
  }
  return [...shown.values()]
}

/** Whether it shows a key, good or not: no page of another site can make a browser send that. */
export function showsKey(headers: Headers, more: readonly string[] = NO_MORE): boolean {
  return shownKeys(headers, more).length > 0
}

/** What is written in an address is written down in many places. */
export function isInAddress(url: string): boolean {
  if (holdsKeyText(url)) return true
  if (!url.includes('%')) return false
  try {
    return holdsKeyText(decodeURIComponent(url))
  } catch {
    return false
  }
}

const named = new WeakMap<readonly string[], ReadonlySet<string>>()

function namesOf(more: readonly string[]): ReadonlySet<string> {
  const names = named.get(more) ?? new Set([...USUAL, ...more])
  named.set(more, names)
  return names
}

/** `Bearer vk_…`, `token vk_…`, or the key alone; as either half of what is basic. */
function readHeader(value: string): readonly Shown[] {
  const words = value.split(/[\s,;]+/).filter(Boolean)
  const [first = '', second = ''] = words
  const scheme = words.length === 2 ? first.toLowerCase() : ''
  const found = scheme === 'basic' ? halvesOf(second) : words
  const shown = found.filter(isMeantAsKey).map((key) => ({ key, scheme }))
  // What holds a key and cannot be read is shown all the same, and good for nothing.
  return shown.length === 0 && holdsKeyText(value) ? [{ key: value, scheme }] : shown
}

/** RFC 7617: the user ends at the first colon. */
function halvesOf(encoded: string): readonly string[] {
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon === -1 ? [] : [text.slice(0, colon), text.slice(colon + 1)]
}
