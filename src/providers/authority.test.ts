import { describe, expect, it } from 'vitest'
import { readBuiltIn } from './built-in.ts'
import { openCatalogue } from './catalogue.ts'

const catalogue = openCatalogue({ builtIn: readBuiltIn(), own: [], origins: {} })

function authorityOf(id: string, vars: Readonly<Record<string, string>> = {}) {
  const provider = catalogue.find(id)
  if (provider === undefined) throw new Error(`there is no ${id}`)
  return catalogue.authority(provider, vars)?.place(provider.oauth?.issuer ?? provider.oauth?.token ?? '')
    .href
}

describe('the authorization server of a provider', () => {
  it('is known before anything is known of its API', () => {
    expect(authorityOf('google')).toBe('https://accounts.google.com/')
    expect(authorityOf('oidc', { issuer: 'login.acme.test/tenant' })).toBe('https://login.acme.test/tenant')
  })

  it('is the usual one where there is a choice, and the chosen one where it was made', () => {
    expect(authorityOf('datadog')).toBe('https://api.datadoghq.com/oauth2/v1/token')
    expect(authorityOf('datadog', { site: 'datadoghq.eu' })).toBe('https://api.datadoghq.eu/oauth2/v1/token')
  })

  it.each([
    ['nobody said which', {}],
    ['what was said is no address', { issuer: 'x' }],
    ['what was said leads elsewhere', { issuer: 'https://user@login.acme.test' }],
  ])('is unknown while %s', (_, vars) => {
    expect(authorityOf('oidc', vars)).toBeUndefined()
  })
})
