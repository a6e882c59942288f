import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fits } from '../model/provider/forms.ts'
import type { Provider } from '../model/provider.ts'
import { openNetwork } from '../network/network.ts'
import { USUAL } from '../open.ts'
import { canary, canaryBytes } from '../testing/canary.ts'
import { brokenPromises } from '../testing/check.ts'
import {
  type ProviderExample,
  type ProviderKit,
  providerChecks,
  providerContract,
} from '../testing/provider-contract.ts'
import { exampleFrom } from '../testing/recorded-example.ts'
import { readBuiltIn } from './built-in.ts'
import { openCatalogue } from './catalogue.ts'
import { SCHEMA_FILE, schemaText } from './write-schema.ts'

const builtIn = readBuiltIn()

const kit: ProviderKit = {
  flows: USUAL.flows,
  catalogue: (origins) => openCatalogue({ builtIn, own: [], origins }),
  network: (allow) => openNetwork({ allow }),
}

const notSendable = { key: `${canary('broken')}\nx-other: 1` }

const EXAMPLES: Readonly<Record<string, ProviderExample>> = {
  openai: {
    good: { key: `sk-proj-${canary('openai')}` },
    bad: { key: `sk-ant-api03-${canary('openai')}` },
  },
  anthropic: {
    good: { key: `sk-ant-api03-${canary('anthropic').padEnd(93, '_')}AA` },
    bad: { key: `sk-ant-${canary('anthropic')}` },
  },
  github: {
    good: { token: `ghp_${canary('github')}` },
    bad: { token: `ghr_${canary('github')}` },
  },
  datadog: {
    vars: { site: 'us5.datadoghq.com' },
    good: {
      key: canaryBytes('', 16).toString('hex'),
      applicationKey: canary('datadog').padEnd(40, '0').slice(0, 40),
    },
    bad: { key: canary('datadog') },
  },
  'azure-openai': { vars: { resource: 'acme-east' }, good: { key: canary('azure') }, bad: notSendable },
  google: { good: {}, bad: {} },
  oidc: { vars: { issuer: 'https://login.acme.test/tenant/', host: 'api.acme.test' }, good: {}, bad: {} },
  oauth: {
    vars: {
      authorize: 'login.acme.test/oauth/authorize',
      token: 'https://login.acme.test/oauth/token',
      host: 'api.acme.test',
    },
    good: {},
    bad: {},
  },
  key: { vars: { host: 'api.acme.test' }, good: { key: canary('any') }, bad: notSendable },
}

for (const provider of builtIn.filter(({ id }) => hasExample(id)))
  providerContract(provider, exampleOf(provider.id), kit)

function recordingOf(id: string): URL {
  return new URL(`../../test/providers/${id}.json`, import.meta.url)
}

function hasExample(id: string): boolean {
  return Object.hasOwn(EXAMPLES, id) || existsSync(recordingOf(id))
}

/** The one of the list, or what was recorded of it. */
function exampleOf(id: string): ProviderExample {
  const example = EXAMPLES[id]
  if (example) return { ...example, recorded: existsSync(recordingOf(id)) }
  return exampleFrom(providerCalled(id), JSON.parse(readFileSync(recordingOf(id), 'utf8')))
}

function providerCalled(id: string): Provider {
  const found = builtIn.find((one) => one.id === id)
  if (!found) throw new Error(`there is no ${id}`)
  return found
}

/** What they send is signed: servers of their own check that, beside the flows. */
const SIGNED = new Set(['aws', 'github-app'])

/** What lies beside them. */
const NO_PROVIDERS = new Set(['clients', 'provider.schema'])

describe('the built-in providers', () => {
  it('are all there', () => {
    const files = readdirSync(new URL('.', import.meta.url)).filter((file) => file.endsWith('.json'))
    const named = files.map((file) => file.replace(/\.json$/, '')).filter((name) => !NO_PROVIDERS.has(name))
    expect(builtIn.map(({ id }) => id)).toEqual(named.toSorted())
    expect(named.length).toBeGreaterThan(50)
  })

  it('are each tried by an example, or by what was recorded of them', () => {
    const untried = builtIn.map(({ id }) => id).filter((id) => !hasExample(id))
    expect(untried.filter((id) => !SIGNED.has(id))).toEqual([])
  })

  // A sign-in that its vendor tolerates at most is behind the key, so that nobody comes to it unasked.
  it('name the way in by a key last, but for those that their vendors keep to themselves', () => {
    const early = builtIn.filter(({ signIns }) => {
      const key = signIns.findIndex(({ flow }) => flow === 'api-key')
      return signIns.slice(key + 1).some(({ policy }) => key !== -1 && policy === undefined)
    })
    expect(early.map(({ id }) => id)).toEqual([])
  })

  it('say in which variables programs look for them, where that is known', () => {
    const known = ({ programs }: Provider) => [
      ...(programs?.token ?? []),
      ...Object.values(programs?.fields ?? {}).flat(),
    ]
    const silent = builtIn.filter((provider) => known(provider).length === 0)
    for (const { id, programs } of silent) expect(programs, id).toBeUndefined()
    expect(builtIn.length - silent.length).toBeGreaterThan(25)
    for (const { id, programs } of builtIn)
      expect((programs?.key ?? []).length > 0, id).toBe(Boolean(programs?.baseUrl))
  })

  it('name every host of a credential themselves, except those whose host is asked for', () => {
    expect(providerCalled('key').hosts).toEqual(['{host}'])
    const takesAny = ({ vars }: Provider, host: string) =>
      vars.some(({ name, choices, decided, pattern = '[a-z0-9-]+' }) => {
        return host === `{${name}}` && !choices && !decided && fits(pattern, 'evil.test')
      })
    const open = builtIn.filter((provider) => provider.hosts.some((host) => takesAny(provider, host)))
    const ids = open.map(({ id }) => id).toSorted()
    expect(ids).toEqual(['github-app', 'github-enterprise', 'gitlab', 'key', 'oauth', 'oidc'])
  })

  it('have a schema for editors that is current', () => {
    expect(readFileSync(SCHEMA_FILE, 'utf8')).toBe(schemaText())
  })
})

describe('a key of another provider', () => {
  it.each([
    ['an OpenRouter key', 'sk-or-v1-'.padEnd(73, 'a')],
    ['a key of thirty-two letters, as several providers have them', `sk-${'a1'.repeat(16)}`],
    ['a Claude sign-in', `sk-ant-oat01-${'a'.repeat(40)}`],
    ['thirty-two hex digits', 'ab'.repeat(16)],
    ['an empty string', ''],
  ])('is not taken for one of ours: %s', (_, key) => {
    expect(kit.catalogue({}).recognise(key)).toBeUndefined()
  })
})

describe('a broken provider', () => {
  const openai = providerCalled('openai')
  const [signIn] = openai.signIns
  if (!signIn) throw new Error('openai has no sign-in')

  const broken = (change: Partial<Provider>, changedKit: Partial<ProviderKit> = {}) => {
    const provider = { ...openai, ...change }
    const catalogue: ProviderKit['catalogue'] = (origins) => {
      const real = kit.catalogue(origins)
      const swapped = (found: Provider | undefined) => (found?.id === 'openai' ? provider : found)
      return {
        ...real,
        find: (name) => swapped(real.find(name)),
        recognise: (key) => swapped(real.recognise(key)),
      }
    }
    return brokenPromises(providerChecks(provider, exampleOf('openai'), { ...kit, catalogue, ...changedKit }))
  }

  it('is not the provider as it stands', async () => {
    expect(await broken({})).toEqual([])
  })

  it.each<[string, Partial<Provider>, string]>([
    [
      'with a field that no file may have',
      { extra: 1 } as Partial<Provider>,
      'is of the declared form, and nothing is lost in reading it',
    ],
    [
      'with a host that is no public name',
      { hosts: ['127.0.0.1'] },
      'sends its credentials to public https hosts alone',
    ],
    [
      'whose flow does not exist',
      { signIns: [{ ...signIn, flow: 'telepathy' }] },
      'is signed in to by flows that exist',
    ],
    [
      'that wears a field nobody is asked for',
      { signIns: [{ ...signIn, present: [{ header: 'x-key', field: 'other', optional: false }] }] },
      'wears only fields that it asks for',
    ],
    [
      'that is verified elsewhere',
      {
        signIns: [
          { ...signIn, verify: { method: 'GET', url: 'https://elsewhere.test/', ok: [200], refused: [401] } },
        ],
      },
      'is verified at one of its own hosts',
    ],
    [
      'that takes a refusal for a yes',
      {
        signIns: [
          {
            ...signIn,
            verify: {
              method: 'GET',
              url: 'https://api.openai.com/v1/models',
              ok: [200, 401],
              refused: [401],
            },
          },
        ],
      },
      'asks again when the provider answers 401',
    ],
    [
      'that takes any key',
      { signIns: [{ ...signIn, fields: signIn.fields.map((field) => ({ ...field, pattern: '.*' })) }] },
      'does not take a bad key for one',
    ],
  ])('fails the contract %s', async (_, change, promise) => {
    expect(await broken(change)).toContain(promise)
  })

  it('fails the contract when its key is sent to a host of another', async () => {
    const leaky: ProviderKit['catalogue'] = (origins) => {
      const real = kit.catalogue(origins)
      return {
        ...real,
        destination: (one, vars) => ({
          ...real.destination(one, vars),
          place: () => new URL('https://elsewhere.test/'),
        }),
      }
    }
    expect(await broken({}, { catalogue: leaky })).toContain(
      'sends its credential to its own origins alone, and never in an address',
    )
  })
})
