import { describe, expect, it } from 'vitest'
import type { ProviderFile } from '../model/provider.ts'
import { openCatalogue } from './catalogue.ts'
import { parseProvider } from './read.ts'
import { isOneOwners } from './registered-domain.ts'

const file = (hosts: readonly string[], vars: ProviderFile['vars'] = [{ name: 'x', label: 'X' }]) =>
  ({
    id: 'acme',
    name: 'Acme',
    category: 'other',
    vars,
    hosts: [...hosts],
    registration: 'none',
    signIns: [
      {
        flow: 'api-key',
        fields: [{ name: 'key', label: 'Key' }],
        present: [{ header: 'x-key', field: 'key' }],
      },
    ],
    revoke: { how: 'console' },
  }) satisfies ProviderFile

function refusal(...given: Parameters<typeof file>): string | undefined {
  try {
    parseProvider('acme.json', file(...given))
  } catch (error) {
    return error instanceof Error ? error.message : 'something else'
  }
}

const choosing = (name: string, ...choices: string[]) => ({ name, label: name, choices })

describe('a host with a variable in it', () => {
  it.each([
    '{x}.example.com',
    'api.{x}.example.com',
    '{x}-api.example.com',
    '{x}.example.co.uk',
    '{x}.api.example.co.uk:8443',
    '{x}.openai.azure.com',
    '{x}.acme.test',
  ])('[security 17.2] stays below a domain of one owner: %s', (host) => {
    expect(refusal([host])).toBeUndefined()
  })

  it.each([
    ['a suffix of a country', '{x}.co.uk', 'co.uk'],
    ['a suffix further down', '{x}.api.gov.br', undefined],
    ['a suffix of its own kind', '{x}.herokuapp.com', 'herokuapp.com'],
    ['pages of anybody', '{x}.github.io', 'github.io'],
    ['a suffix with a wildcard', '{x}.kawasaki.jp', 'kawasaki.jp'],
    ['a suffix below another variable', 'api.{x}.co.jp', 'co.jp'],
  ])('[security 17.2] may not choose whose domain it is: %s', (_, host, suffix) => {
    if (suffix === undefined) return expect(refusal([host])).toBeUndefined()
    expect(refusal([host])).toBe(`acme.json: hosts[0] ends in ${suffix}, below which anybody may have a name`)
  })

  it.each(['{x}.com', '{x}', 'api.{x}', '{x}example.com', 'example.{x}', '{x}.{y}'])(
    'has a fixed domain at its end, or is the whole host: %s',
    (host) => {
      const vars = [
        { name: 'x', label: 'X' },
        { name: 'y', label: 'Y' },
      ]
      if (host === '{x}') return expect(refusal([host], vars)).toBeUndefined()
      expect(refusal([host], vars)).toContain('hosts[0] must end in a fixed domain')
    },
  )

  it('[security 17.2] is judged for every choice of a list', () => {
    const free = { name: 'x', label: 'X' }
    const sites = (...all: string[]) => [free, choosing('site', ...all)]
    expect(refusal(['api.{site}'], sites('acme.test', 'eu.acme.test'))).toBeUndefined()
    expect(refusal(['{x}.{site}'], sites('acme.test', 'acme.example'))).toBeUndefined()
    expect(refusal(['{x}.{site}'], sites('acme.test', 'co.uk'))).toContain('ends in co.uk')
    expect(refusal(['{x}.acme.{site}'], sites('test', 'co.uk'))).toBeUndefined()
    expect(refusal(['{x}.{site}'], sites('test', 'com'))).toContain('must end in a fixed domain')
    expect(refusal(['{x}{site}'], sites('acme.test'))).toContain('must end in a fixed domain')
  })
})

it('knows the domains below which every name is their owner’s', () => {
  expect(['example.com', 'api.example.com', 'example.co.uk', 'acme.test'].filter(isOneOwners)).toHaveLength(4)
  expect(['com', 'co.uk', 'github.io', 'kawasaki.jp', 'vercel.app'].filter(isOneOwners)).toEqual([])
})

describe('a variable that another one decides', () => {
  const site = choosing('site', 'acme.test', 'acme.example')
  const decided = { by: 'site', values: { 'acme.test': 'app.acme.test', 'acme.example': 'www.acme.example' } }
  const vars = [site, { name: 'app', label: 'App', decided }]

  it('follows from its choice, whatever else is said', () => {
    const catalogue = openCatalogue({ builtIn: [file(['{app}'], vars)], own: [], origins: {} })
    const provider = catalogue.find('acme')
    if (!provider) throw new Error('there is no provider')
    const at = (values: Record<string, string>) => catalogue.destination(provider, values).base.host
    expect(at({ site: 'acme.example' })).toBe('www.acme.example')
    expect(at({ site: 'acme.test', app: 'evil.test' })).toBe('app.acme.test')
    for (const odd of [{}, { app: 'app.acme.test' }, { site: 'evil.test' }, { site: 'toString' }])
      expect(() => at(odd)).toThrow(expect.objectContaining({ code: 'invalid-request' }))
  })

  it.each<[string, object, string]>([
    [
      'by nobody',
      { decided: { ...decided, by: 'nobody' } },
      'vars[1].decided.by must be a variable with a list',
    ],
    [
      'by itself',
      { decided: { ...decided, by: 'app' } },
      'vars[1].decided.by must be a variable with a list',
    ],
    [
      'for some choices only',
      { decided: { by: 'site', values: { 'acme.test': 'app.acme.test' } } },
      'vars[1].decided.values does not say what "acme.example" decides',
    ],
    [
      'to be an address',
      { decided: { by: 'site', values: { ...decided.values, 'acme.test': '10.0.0.1' } } },
      'vars[1].decided.values must be hosts',
    ],
    [
      'to have a path',
      { decided: { by: 'site', values: { ...decided.values, 'acme.test': 'acme.test/x' } } },
      'vars[1].decided.values must be hosts',
    ],
    ['and has a form all the same', { decided, pattern: '.*' }, 'vars[1] is decided, so it has no form'],
  ])('is refused where it is decided %s', (_, change, words) => {
    expect(refusal(['{app}'], [site, { name: 'app', label: 'App', ...change }])).toContain(words)
  })

  it('[security 17.2] is part of a host like any other list', () => {
    const values = { 'acme.test': 'co.uk', 'acme.example': 'acme.example' }
    const open = [...vars.slice(0, 1), { name: 'x', label: 'X' }]
    expect(refusal(['{x}.{app}'], [...open, { name: 'app', label: 'App', decided }])).toBeUndefined()
    expect(
      refusal(['{x}.{app}'], [...open, { name: 'app', label: 'App', decided: { by: 'site', values } }]),
    ).toContain('ends in co.uk')
  })
})
