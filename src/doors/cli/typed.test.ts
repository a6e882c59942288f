import { describe, expect, it } from 'vitest'
import { canary } from '../../testing/canary.ts'
import { looksLikeKey, withoutKeys } from './looks-like-key.ts'
import { nearest } from './nearest.ts'
import { duration, moment, relative } from './when.ts'

const NOW = new Date('2027-03-01T12:00:00Z')

describe('a word that was mistyped', () => {
  it('finds the one that was meant', () => {
    expect(nearest('lnd', ['lend', 'leases', 'lock'])).toBe('lend')
    expect(nearest('dtaadog', ['datadog', 'github'])).toBe('datadog')
    expect(nearest('GITHUB', ['github'])).toBe('github')
  })

  it('finds nothing where nothing is near', () => {
    expect(nearest('stripe', ['datadog', 'github', 'key'])).toBeUndefined()
  })
})

describe('a time', () => {
  it('is told from here', () => {
    expect(relative('2027-03-01T12:12:00Z', NOW)).toBe('in 12 min')
    expect(relative('2027-02-26T12:00:00Z', NOW)).toBe('3 days ago')
    expect(relative('2027-03-01T11:59:30Z', NOW)).toBe('30 s ago')
    expect(relative('2027-03-01T12:00:01Z', NOW)).toBe('now')
    expect(relative(null, NOW)).toBe('')
  })

  it('is written as a length or as a date', () => {
    expect(duration('15m')).toBe(900_000)
    expect(moment('1h', NOW, 'ahead')).toBe('2027-03-01T13:00:00.000Z')
    expect(moment('7d', NOW, 'back')).toBe('2027-02-22T12:00:00.000Z')
    expect(moment('2027-01-31', NOW, 'back')).toBe('2027-01-31T00:00:00.000Z')
  })

  it('is refused where it is neither', () => {
    for (const text of ['', 'soon', '1', '0m', '-1h', '1y', '2027-13-40'])
      expect(() => moment(text, NOW, 'ahead')).toThrow('is not a length of time')
  })
})

describe('what looks like a secret', () => {
  it('is taken out of a text', () => {
    const secret = canary('text')
    expect(withoutKeys(`at x (file:///a/b.ts:1:2) "${secret}"`)).toBe('at x (file:///a/b.ts:1:2) "[secret]"')
  })

  it('is not every long name', () => {
    for (const name of ['azure-openai/production-eu-west-1', 'sk-learn', 'app:nightly-report-of-2027'])
      expect(looksLikeKey(name)).toBe(false)
  })
})
