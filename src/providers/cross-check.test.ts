import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { report } from '../../test/figures.ts'
import type { Provider } from '../model/provider.ts'
import { canary } from '../testing/canary.ts'
import { exampleFrom } from '../testing/recorded-example.ts'
import { type ListeningStandIn, type StandInRequest, standIn } from '../testing/stand-in.ts'
import { readBuiltIn } from './built-in.ts'
import { openCatalogue } from './catalogue.ts'

// Another program's own knowledge of the same providers: not read, but run, and looked at from outside.
const others = createRequire(import.meta.url)
const configured = others('grant/lib/config') as (wish: unknown) => Record<string, Theirs | undefined>
const known = others('grant/config/oauth.json') as Record<string, { readonly oauth: number } | undefined>
const { authorize, access } = others('grant/lib/flow/oauth2') as Flow

type Theirs = Readonly<Record<string, unknown>>
interface Flow {
  authorize(asked: object): Promise<{ readonly output: string }>
  access(kit: object): (asked: object) => Promise<unknown>
}

/** What ours are called there. */
const NAMES: Readonly<Record<string, string>> = {
  'google-calendar': 'google',
  gmail: 'google',
  'google-drive': 'google',
  quickbooks: 'intuit',
  x: 'twitter2',
}

type Fact = 'authorize' | 'token' | 'separator' | 'auth'
type Facts = Partial<Record<Fact, string>>

interface Difference {
  readonly theirs: string
  readonly why: string
  /** Those who say so, among the evidence of the file. */
  readonly by: readonly string[]
}

const UNSAID = 'theirs is only what it does where it was told nothing'
const CLIENT = 'the secret goes in a basic pair; theirs is only what it does where it was told nothing'

/** Where theirs is another: why ours is right. */
const DIFFERENCES: Readonly<Record<string, Difference>> = {
  'bitbucket auth': {
    theirs: 'post',
    why: CLIENT,
    by: ['arctic', 'https://developer.atlassian.com/cloud/bitbucket/oauth-2'],
  },
  'box authorize': {
    theirs: 'https://api.box.com/oauth2/authorize',
    why: 'it moved to the host where people sign in',
    by: ['allauth', 'arctic', 'authjs', 'n8n', 'nango'],
  },
  'discord authorize': {
    theirs: 'https://discord.com/api/oauth2/authorize',
    why: 'the page that its documents send people to',
    by: ['arctic', 'go-oauth2', 'https://discord.com/developers/docs/topics/oauth2'],
  },
  'dropbox separator': {
    theirs: ',',
    why: UNSAID,
    by: ['arctic', 'better-auth', 'n8n', 'nango', 'social-core'],
  },
  'facebook authorize': {
    theirs: 'https://www.facebook.com/dialog/oauth',
    why: 'with a version it does not change by itself',
    by: ['arctic', 'authjs', 'better-auth', 'n8n', 'nango'],
  },
  'facebook token': {
    theirs: 'https://graph.facebook.com/oauth/access_token',
    why: 'with a version it does not change by itself',
    by: ['arctic', 'authjs', 'better-auth', 'n8n', 'nango'],
  },
  'figma auth': { theirs: 'post', why: CLIENT, by: ['arctic', 'better-auth', 'n8n', 'nango'] },
  'figma token': {
    theirs: 'https://www.figma.com/api/oauth/token',
    why: 'that one was given up',
    by: ['arctic', 'authjs', 'better-auth', 'n8n', 'nango'],
  },
  'github separator': { theirs: ',', why: UNSAID, by: ['arctic', 'authjs', 'better-auth', 'nango'] },
  'instagram authorize': {
    theirs: 'https://api.instagram.com/oauth/authorize',
    why: 'that one was for an API that was given up',
    by: ['code-search', 'nango'],
  },
  'instagram separator': {
    theirs: ' ',
    why: 'that one was for an API that was given up',
    by: ['code-search', 'nango'],
  },
  'quickbooks auth': { theirs: 'post', why: CLIENT, by: ['arctic', 'n8n'] },
  'reddit authorize': {
    theirs: 'https://ssl.reddit.com/api/v1/authorize',
    why: 'that host is of old',
    by: ['allauth', 'arctic', 'authjs', 'better-auth', 'n8n', 'nango'],
  },
  'reddit separator': { theirs: ',', why: UNSAID, by: ['arctic', 'better-auth', 'n8n', 'nango'] },
  'reddit token': {
    theirs: 'https://ssl.reddit.com/api/v1/access_token',
    why: 'that host is of old',
    by: ['allauth', 'arctic', 'authjs', 'better-auth', 'n8n', 'nango'],
  },
  'slack authorize': {
    theirs: 'https://slack.com/oauth/authorize',
    why: 'that one is for classic apps, which cannot be made any more',
    by: ['go-oauth2', 'n8n', 'nango'],
  },
  'slack token': {
    theirs: 'https://slack.com/api/oauth.access',
    why: 'that one is for classic apps, which cannot be made any more',
    by: ['go-oauth2', 'n8n', 'nango'],
  },
  'spotify auth': { theirs: 'post', why: CLIENT, by: ['arctic', 'n8n'] },
  'x authorize': {
    theirs: 'https://twitter.com/i/oauth2/authorize',
    why: 'the host was renamed',
    by: ['authjs', 'better-auth', 'n8n', 'nango'],
  },
  'x token': {
    theirs: 'https://api.twitter.com/2/oauth2/token',
    why: 'the host was renamed',
    by: ['authjs', 'better-auth', 'n8n', 'nango'],
  },
  'zoom auth': {
    theirs: 'post',
    why: CLIENT,
    by: ['arctic', 'n8n', 'https://developers.zoom.us/docs/rooms/oauth/'],
  },
}

const builtIn = readBuiltIn()
const catalogue = openCatalogue({ builtIn, own: [], origins: {} })
const both = builtIn.filter(({ id, oauth }) => oauth && known[NAMES[id] ?? id]?.oauth === 2)

describe('what another program knows of the same providers', () => {
  let there: ListeningStandIn
  const found = new Map<string, { readonly ours: string; readonly theirs: string }>()

  beforeAll(async () => {
    there = await standIn({ '*': { body: { access_token: canary('other'), token_type: 'bearer' } } }).listen()
    for (const provider of both) {
      const [ours, theirs] = [factsOf(provider), await factsOfTheirs(provider, there)]
      for (const fact of Object.keys(ours) as Fact[])
        found.set(`${provider.id} ${fact}`, { ours: ours[fact] ?? '', theirs: theirs[fact] ?? '' })
    }
  })
  afterAll(() => there.close())

  const differing = () => [...found].filter(([, { ours, theirs }]) => ours !== theirs)

  it('is what ours say, or it is explained why not', () => {
    expect(both.length).toBeGreaterThan(20)
    const unexplained = differing().filter(([what, { theirs }]) => DIFFERENCES[what]?.theirs !== theirs)
    expect(Object.fromEntries(unexplained)).toEqual({})
  })

  it('differs wherever that is explained', () => {
    const names = differing().map(([what]) => what)
    expect(Object.keys(DIFFERENCES).filter((what) => !names.includes(what))).toEqual([])
  })

  it('is told apart from ours by those who confirm ours', () => {
    for (const [what, { by, why }] of Object.entries(DIFFERENCES)) {
      const { evidence = {} } = builtIn.find(({ id }) => id === what.split(' ')[0]) ?? {}
      const all = Object.values(evidence).flat()
      expect(why, what).not.toBe('')
      expect(by.length, what).toBeGreaterThan(0)
      expect(
        by.filter((one) => !all.includes(one)),
        what,
      ).toEqual([])
    }
  })

  it('is counted', () => {
    const same = found.size - differing().length
    report('facts of our providers that another program knows alike', same, found.size, 'grant 5')
    expect(same / found.size).toBeGreaterThan(0.7)
  })
})

/** Who is found by an issuer names no endpoints, so that only where the browser goes to is compared. */
function factsOf(provider: Provider): Facts {
  const { issuer, authorize, token, scopeSeparator = ' ', clientAuth } = provider.oauth ?? {}
  const { place } = catalogue.destination(provider, varsOf(provider))
  const rest = { ...(isSeparated(provider) ? { separator: scopeSeparator } : {}), auth: clientAuth ?? '' }
  if (!authorize || !token) return { authorize: new URL(issuer ?? '').origin, ...rest }
  return { authorize: place(authorize).href, token: place(token).href, ...rest }
}

/** Where it asks for no two scopes there is nothing between them. */
function isSeparated({ signIns }: Provider): boolean {
  return signIns.some(({ scopes, optionalScopes }) => scopes.length + optionalScopes.length > 1)
}

function varsOf(provider: Provider): Readonly<Record<string, string>> {
  const file = new URL(`../../test/providers/${provider.id}.json`, import.meta.url)
  if (!existsSync(file)) return {}
  return exampleFrom(provider, JSON.parse(readFileSync(file, 'utf8'))).vars ?? {}
}

async function factsOfTheirs({ id, oauth }: Provider, there: ListeningStandIn): Promise<Facts> {
  const name = NAMES[id] ?? id
  const wish = { key: 'their-client', secret: canary('their'), scope: ['one', 'two'], subdomain: 'acme' }
  const usual = configured({ defaults: { origin: 'http://127.0.0.1:1' }, [name]: wish })[name] ?? {}
  const url = new URL((await authorize({ provider: usual, input: {} })).output)
  const token = String(usual['access_url']).replace('[subdomain]', 'acme')
  await access({ request: {} })({
    provider: { ...usual, access_url: `${there.origin}/${id}` },
    input: { query: { code: 'code' }, body: {}, session: {} },
  })
  const sent = there.requests.findLast(({ path }) => path.startsWith(`/${id}`))
  return {
    authorize: oauth?.authorize ? url.origin + url.pathname : url.origin,
    ...(oauth?.token ? { token } : {}),
    separator: /^one(.)two$/.exec(url.searchParams.get('scope') ?? '')?.[1] ?? '',
    auth: await authOf(sent),
  }
}

async function authOf(sent: StandInRequest | undefined): Promise<string> {
  if (String(sent?.headers['authorization']).startsWith('Basic ')) return 'basic'
  return String(await sent?.body).includes('client_secret') ? 'post' : 'none'
}
