import { existsSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { report } from '../../test/figures.ts'
import type { Provider } from '../model/provider.ts'
import { readBuiltIn } from './built-in.ts'
import { openCatalogue } from './catalogue.ts'

// One more program's knowledge of the same providers: it has a file of each.
const FOLDER = new URL('../../node_modules/@auth/core/providers/', import.meta.url)

/** What ours are called there. */
const NAMES: Readonly<Record<string, string>> = {
  'google-calendar': 'google',
  gmail: 'google',
  'google-drive': 'google',
  x: 'twitter',
}

interface Theirs {
  readonly authorization?: string | { readonly url?: string }
  readonly token?: string | { readonly url?: string }
  readonly issuer?: string
  readonly client?: { readonly token_endpoint_auth_method?: string }
}

type Fact = 'authorize' | 'token' | 'issuer' | 'auth'
type Facts = Partial<Record<Fact, string | undefined>>

/** Where theirs is another: what it is, and why ours is right. */
const DIFFERENCES: Readonly<Record<string, readonly [theirs: string, why: string]>> = {
  'discord authorize': [
    'https://discord.com/api/oauth2/authorize',
    'ours is the page that its documents send people to',
  ],
  'facebook authorize': ['https://www.facebook.com/v19.0/dialog/oauth', 'that version is of old'],
  'facebook token': [
    'https://graph.facebook.com/oauth/access_token',
    'with a version it does not change by itself',
  ],
  'hubspot token': ['https://api.hubapi.com/oauth/v1/token', 'that version is given up in February 2027'],
  'instagram authorize': [
    'https://api.instagram.com/oauth/authorize',
    'that one was for an API that was given up',
  ],
}

const builtIn = readBuiltIn()
const catalogue = openCatalogue({ builtIn, own: [], origins: {} })

describe('what is in the files of another program about the same providers', () => {
  const found = new Map<string, { readonly ours: string; readonly theirs: string }>()
  let both = 0

  beforeAll(async () => {
    for (const provider of builtIn) {
      const theirs = await theirsOf(provider)
      if (theirs === undefined) continue
      both += 1
      const ours = oursOf(provider)
      for (const [fact, said] of Object.entries(theirs) as [Fact, string | undefined][])
        if (said !== undefined && ours[fact] !== undefined)
          found.set(`${provider.id} ${fact}`, { ours: ours[fact], theirs: said })
    }
  })

  const differing = () => [...found].filter(([, { ours, theirs }]) => ours !== theirs)

  it('is what ours say, or it is explained why not', () => {
    expect(both).toBeGreaterThan(20)
    const unexplained = differing().filter(([what, { theirs }]) => DIFFERENCES[what]?.[0] !== theirs)
    expect(Object.fromEntries(unexplained)).toEqual({})
  })

  it('differs wherever that is explained', () => {
    const names = differing().map(([what]) => what)
    expect(Object.keys(DIFFERENCES).filter((what) => !names.includes(what))).toEqual([])
  })

  it('is counted', () => {
    const same = found.size - differing().length
    report(
      'facts of our providers that the files of another program know alike',
      same,
      found.size,
      '@auth/core',
    )
    expect(same / found.size).toBeGreaterThan(0.7)
  })
})

async function theirsOf({ id, oauth }: Provider): Promise<Facts | undefined> {
  const file = new URL(`${NAMES[id] ?? id}.js`, FOLDER)
  if (oauth === undefined || id === 'oauth' || !existsSync(file)) return undefined
  const { default: configure } = (await import(file.href)) as { default: (wish: object) => Theirs }
  const { authorization, token, issuer, client } = configure({ clientId: 'their-client' })
  return {
    authorize: bare(authorization),
    token: bare(token),
    issuer,
    auth: client?.token_endpoint_auth_method?.replace('client_secret_', ''),
  }
}

function bare(link: Theirs['token']): string | undefined {
  const url = URL.parse((typeof link === 'string' ? link : link?.url) ?? '')
  return url === null ? undefined : url.origin + url.pathname
}

/** At its usual address, where the person may have another. */
function oursOf(provider: Provider): Facts {
  const { authorize, token, issuer, clientAuth: auth } = provider.oauth ?? {}
  const place = catalogue.authority(provider, {})?.place
  const placed = (link: string | undefined) => link && place?.(link).href
  return { authorize: placed(authorize), token: placed(token), issuer, auth }
}
