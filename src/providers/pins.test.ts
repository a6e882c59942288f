import { expect, it } from 'vitest'
import { pinsOf } from './pins.ts'
import { parseProvider } from './read.ts'

const [one, two] = ['A', 'B'].map((letter) => `sha256/${letter.repeat(43)}=`)

function provider(id: string, pins: object) {
  return parseProvider(`${id}.json`, {
    id,
    name: id,
    category: 'other',
    hosts: ['api.acme.test', 'files.acme.test'],
    registration: 'none',
    signIns: [
      {
        flow: 'api-key',
        fields: [{ name: 'key', label: 'Key' }],
        present: [{ header: 'x-key', field: 'key' }],
      },
    ],
    revoke: { how: 'console' },
    pins,
  })
}

it('gathers by host what the files of providers pin', () => {
  const files = [
    provider('acme', { 'api.acme.test': [one], 'files.acme.test': [two] }),
    provider('acme-too', { 'api.acme.test': [two] }),
    provider('other', {}),
  ]
  expect(pinsOf(files)).toEqual({ 'api.acme.test': [one, two], 'files.acme.test': [two] })
})
