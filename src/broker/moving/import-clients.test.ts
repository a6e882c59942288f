import { describe, expect, it } from 'vitest'
import { readClients } from './import-clients.ts'

const [authorizeAt, tokenAt] = ['https://id.acme.test/authorize', 'https://id.acme.test/token']

function read(about: string, more: object = {}) {
  const plain = {
    clientId: 'ours',
    how: 'yours',
    createdAt: 1,
    redirectUri: null,
    secretExpiresAt: null,
    managementUri: null,
    ...more,
  }
  const record = { owner: 'installation', record: 'reg-1', about, fields: {}, plain } as const
  return [...readClients({ version: 2, id: 'x', createdAt: new Date(0), records: [record] }).keys()]
}

describe('a client at a server of the owner’s own that comes with an import', () => {
  const own = `${tokenAt}#acme`

  it('is taken with the endpoints by which it is named', () => {
    expect(read(own, { authorizeAt, tokenAt })).toEqual([own])
    expect(read('https://id.acme.test')).toEqual(['https://id.acme.test'])
  })

  it.each([
    ['at another', own, { authorizeAt, tokenAt: 'https://elsewhere.test/token' }],
    ['at none, which would be the vendor’s', own, {}],
    ['named like the client of an issuer', 'https://id.acme.test', { authorizeAt, tokenAt }],
  ])('is none %s', (_, about, endpoints) => {
    expect(read(about, endpoints)).toEqual([])
  })
})
