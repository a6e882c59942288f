import { expect, it } from 'vitest'
import { readBuiltIn } from './built-in.ts'
import { parseShipped, readShipped } from './shipped.ts'

const builtIn = readBuiltIn()
const ENTRY = { clientId: 'valetkey-public', owner: 'the maintainers' }

it('comes with no client yet', () => {
  expect(readShipped()).toEqual({})
})

it('is a public client of its provider, with the address it was registered with', () => {
  const file = { github: { ...ENTRY, redirectUris: ['http://127.0.0.1/callback/github'] }, google: ENTRY }
  expect(parseShipped(file, builtIn)).toEqual({
    github: {
      clientId: 'valetkey-public',
      clientSecret: undefined,
      redirectUri: new URL('http://127.0.0.1/callback/github'),
    },
    google: { clientId: 'valetkey-public', clientSecret: undefined, redirectUri: undefined },
  })
})

it.each<[string, object, string]>([
  ['names nobody as its owner', { github: { clientId: 'x' } }, 'github.owner'],
  [
    'has an owner without a name',
    { github: { clientId: 'x', owner: ' ' } },
    'github.owner must name whose it is',
  ],
  ['brings a secret along', { github: { ...ENTRY, clientSecret: 's' } }, 'github'],
  [
    'comes back to another computer',
    { github: { ...ENTRY, redirectUris: ['https://evil.test/'] } },
    'loopback',
  ],
  ['belongs to nobody', { nobody: ENTRY }, 'nobody is no provider that is signed in to by a client'],
  ['belongs to whom it is of no use', { openai: ENTRY }, 'openai is no provider'],
])('is refused where it %s', (_, file, words) => {
  expect(() => parseShipped(file, builtIn)).toThrow(words)
})
