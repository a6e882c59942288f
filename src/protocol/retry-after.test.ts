import { describe, expect, it } from 'vitest'
import { retryAfterOf } from './retry-after.ts'

const now = () => new Date('2026-11-20T12:00:00Z')

describe('what a server says of when to come back', () => {
  it.each<[string, number]>([
    ['120', 120],
    [' 7 ', 7],
    ['86400', 86_400],
    ['86401', 86_400],
    ['99999999999999', 86_400],
    ['Fri, 20 Nov 2026 12:01:30 GMT', 90],
    ['Fri, 20 Nov 2026 12:00:01 GMT', 1],
    ['Sun, 29 Nov 2026 12:00:00 GMT', 86_400],
  ])('[security 7.1] is seconds, or a date by our own clock, and a day at most: %j', (header, seconds) => {
    expect(retryAfterOf(header, now)).toBe(seconds)
  })

  it.each([
    null,
    '',
    '0',
    '-5',
    '1.5',
    '1e3',
    '0x10',
    'soon',
    '5 minutes',
    '120, 240',
    '1234567890123456',
    '2026-11-20T12:05:00Z',
    'Fri, 20 Nov 2026 11:59:59 GMT',
    'Thu, 32 Nov 2026 12:05:00 GMT',
  ])('is nothing where it makes no sense, or is over: %j', (header) => {
    expect(retryAfterOf(header, now)).toBeUndefined()
  })

  it('is no date where there is no clock to hold it against', () => {
    expect(retryAfterOf('Fri, 20 Nov 2026 12:01:30 GMT')).toBeUndefined()
  })
})
