import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Provider } from '../model/provider.ts'
import { readBuiltIn } from './built-in.ts'

/** In these nothing stands but the standards' own: what they are about somebody fills in. */
const FILLED_IN = new Set(['key', 'oauth', 'oidc'])
const builtIn = readBuiltIn().filter(({ id }) => !FILLED_IN.has(id))

const MANY = /^code-search \((several|two|three|four|five) unrelated files\)$/

/** Names that we gave, and how we come to a client: nobody else could confirm them. */
const OURS = new Set(['$schema', 'id', 'name', 'category', 'aliases', 'registration', 'evidence'])
const OURS_BY_WAY = new Set(['flow', 'label', 'called', 'fields'])

type Json = Readonly<Record<string, unknown>>

/** As it is written, without what is usual. */
function fileOf(id: string): Json {
  return JSON.parse(readFileSync(new URL(`${id}.json`, import.meta.url), 'utf8'))
}

interface Claim {
  readonly id: string
  readonly parts: readonly string[]
}

/** Every field that a file has, of which somebody else has to know. */
function claimsOf({ id }: Provider): readonly Claim[] {
  const { signIns, ...file } = fileOf(id)
  const top = Object.keys(file).filter((name) => !OURS.has(name))
  const ways = (signIns as readonly Json[]).flatMap(({ fields = [], ...way }) => [
    ...Object.keys(way)
      .filter((name) => !OURS_BY_WAY.has(name))
      .map((name) => ['signIns', name]),
    ...((fields as readonly Json[]).some(({ pattern }) => pattern) ? [['signIns', 'fields', 'pattern']] : []),
  ])
  return [...top.map((name) => [name]), ...ways].map((parts) => ({ id, parts }))
}

/** By itself, as a part of what is confirmed as a whole, or part by part. */
function isConfirmed({ id, evidence }: Provider, parts: readonly string[]): boolean {
  if (parts.some((_, i) => Object.hasOwn(evidence, parts.slice(0, i + 1).join('.')))) return true
  const inside = valuesAt(fileOf(id), parts).flatMap((value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : [],
  )
  const named = inside.filter((name) => !OURS.has(name))
  return named.length > 0 && named.every((name) => Object.hasOwn(evidence, [...parts, name].join('.')))
}

/** What stands there: of a list, in each of it. */
function valuesAt(value: unknown, [first, ...rest]: readonly string[]): readonly unknown[] {
  if (Array.isArray(value))
    return value.flatMap((one) => valuesAt(one, first === undefined ? [] : [first, ...rest]))
  if (first === undefined) return [value]
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, first)) return []
  return valuesAt((value as Json)[first], rest)
}

describe('what the built-in providers say of others', () => {
  it('say by whom each of their fields is confirmed', () => {
    const unconfirmed = builtIn.flatMap((provider) =>
      claimsOf(provider).filter(({ parts }) => !isConfirmed(provider, parts)),
    )
    expect(unconfirmed.map(({ id, parts }) => `${id}: ${parts.join('.')}`)).toEqual([])
  })

  it('name for each two who are not the same, or many programs that are not each other’s', () => {
    const alone = builtIn.flatMap(({ id, evidence }) =>
      Object.entries(evidence)
        .filter(([, by]) => new Set(by).size < 2 && !by.some((one) => MANY.test(one)))
        .map(([field]) => `${id}: ${field}`),
    )
    expect(alone).toEqual([])
  })

  it('confirm nothing that they do not say, be it by leaving it at the usual', () => {
    const odd = builtIn.flatMap((provider) =>
      Object.keys(provider.evidence)
        .filter((field) => valuesAt(provider, field.split('.')).length === 0)
        .map((field) => `${provider.id}: ${field}`),
    )
    expect(odd).toEqual([])
  })
})
