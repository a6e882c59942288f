import { describe, expect, it } from 'vitest'
import type { Programs, ProviderCard } from '#client'
import { canary } from '../../testing/canary.ts'
import { surroundings } from './surroundings.ts'
import { lent, OPENAI } from './test-stage.ts'
import {
  inOne,
  namingOf,
  refuseUnknownGateway,
  refuseUnknownToken,
  variablesOfGateway,
  variablesOfLent,
} from './variables.ts'

const DATADOG: Programs = {
  token: ['DD_BEARER'],
  fields: { key: ['DD_API_KEY', 'DATADOG_API_KEY'], applicationKey: ['DD_APP_KEY'] },
  baseUrl: { variables: ['DATADOG_HOST'], path: '/api' },
  key: ['DD_API_KEY'],
}
const CARDS: readonly ProviderCard[] = [
  { ...OPENAI, id: 'datadog', programs: DATADOG },
  { ...OPENAI, id: 'quiet', programs: null },
]

const naming = (address: string, words: Parameters<typeof namingOf>[2] = {}) =>
  namingOf(CARDS, [address], words)(address)

describe('the variables of a program', () => {
  it('hold each field where programs look for it', () => {
    const [key, applicationKey] = [canary('key'), canary('app')]
    expect(variablesOfLent(naming('datadog/eu'), lent(key, { key, applicationKey }))).toEqual([
      ['DD_API_KEY', key],
      ['DATADOG_API_KEY', key],
      ['DD_APP_KEY', applicationKey],
    ])
  })

  it('hold the token where no field is looked for', () => {
    const token = canary('token')
    for (const name of ['accessToken', 'constructor'])
      expect(variablesOfLent(naming('datadog'), lent(token, { [name]: token }))).toEqual([
        ['DD_BEARER', token],
      ])
  })

  it('say where requests go: at this very account', () => {
    const at = 'http://127.0.0.1:4000'
    expect(variablesOfGateway(naming('datadog/eu'), at, 'vk_1')).toEqual([
      ['DATADOG_HOST', `${at}/forward/datadog/eu/api`],
      ['DD_API_KEY', 'vk_1'],
    ])
    expect(
      variablesOfGateway(naming('datadog', { env: ['K=datadog'], url: ['U=datadog'] }), at, 'vk_1'),
    ).toEqual([
      ['U', `${at}/forward/datadog/default/api`],
      ['K', 'vk_1'],
    ])
  })

  it('are named by the person where nobody knows them', () => {
    expect(() => refuseUnknownToken(naming('quiet'))).toThrow('in which variable programs look for the token')
    expect(() => refuseUnknownGateway(naming('quiet'))).toThrow('look for the base URL')
    expect(() => refuseUnknownGateway(naming('quiet', { url: ['U=quiet'] }))).toThrow('look for the key')
    expect(() => refuseUnknownToken(naming('quiet', { env: ['T=quiet'] }))).not.toThrow()
    const token = canary('token')
    expect(variablesOfLent(naming('quiet', { env: ['T=quiet', 'S=quiet'] }), lent(token))).toEqual([
      ['T', token],
      ['S', token],
    ])
  })

  it('hold one thing each', () => {
    expect(() =>
      inOne([
        ['A', '1'],
        ['A', '2'],
      ]),
    ).toThrow('two accounts would be in A')
    expect(
      inOne([
        ['A', '1'],
        ['B', '1'],
      ]),
    ).toEqual({ A: '1', B: '1' })
  })
})

describe('[security 0.10] the surroundings of a program', () => {
  it('have nothing of valetkey in them but its own socket', () => {
    const [one, other] = [canary('passphrase'), canary('database')]
    const env = {
      PATH: '/bin',
      UNSET: undefined,
      VALETKEY_PASSPHRASE: one,
      VALETKEY_HOME: '/home/ada/.valetkey',
      DATABASE_URL: other,
      VALETKEY_SOCKET: '/run/owner.sock',
      LLXPRT_CREDENTIAL_SOCKET: '/run/owner.sock',
    }
    expect(surroundings(env, '/run/s/1/s', { GH_TOKEN: 'x', VALETKEY_SOCKET: '/else' })).toEqual({
      PATH: '/bin',
      GH_TOKEN: 'x',
      VALETKEY_SOCKET: '/run/s/1/s',
      LLXPRT_CREDENTIAL_SOCKET: '/run/s/1/s',
    })
  })
})
