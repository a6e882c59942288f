import { describe, expect, it } from 'vitest'
import { isInAddress, shownKeys, showsKey } from './shown-keys.ts'

const KEY = `vk_0123456789abcdef_${'x'.repeat(43)}`
const OTHER = `vk_fedcba9876543210_${'y'.repeat(43)}`
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
const shown = (headers: Record<string, string>, more?: readonly string[]) =>
  shownKeys(new Headers(headers), more).map(({ key, scheme }) => [key, scheme])

describe('a key that is shown', () => {
  it.each([
    [{ authorization: `Bearer ${KEY}` }, [[KEY, 'bearer']]],
    [{ authorization: `DPoP ${KEY}` }, [[KEY, 'dpop']]],
    [{ authorization: `token ${KEY}` }, [[KEY, 'token']]],
    [{ authorization: KEY }, [[KEY, '']]],
    [{ authorization: basic(`x-access-token:${KEY}`) }, [[KEY, 'basic']]],
    [{ authorization: basic(`${KEY}:`) }, [[KEY, 'basic']]],
    [{ authorization: basic(`${KEY}:x:y`) }, [[KEY, 'basic']]],
    [{ 'x-api-key': KEY }, [[KEY, '']]],
    [{ 'api-key': KEY, authorization: `Bearer ${KEY}` }, [[KEY, '']]],
  ])('is read off %j', (headers, expected) => {
    expect(shown(headers)).toEqual(expected)
  })

  it.each([
    ['no header that one is shown in', { cookie: KEY, 'x-other': KEY, accept: KEY }],
    ['what no key begins like', { authorization: 'Bearer unused', 'x-api-key': 'sk-x' }],
    ['what is basic and has no halves', { authorization: basic('nothing') }],
    ['nothing', {}],
  ])('is none in %s', (_, headers) => {
    expect(shown(headers as Record<string, string>)).toEqual([])
    expect(showsKey(new Headers(headers as Record<string, string>))).toBe(false)
  })

  it('is looked for in the headers of providers where it is told to be', () => {
    expect(shown({ 'x-goog-api-key': KEY })).toEqual([])
    expect(shown({ 'x-goog-api-key': KEY }, ['x-goog-api-key'])).toEqual([[KEY, '']])
  })

  it('is not passed over because it is misspelt: whoever means to show one is nobody else', () => {
    for (const spelled of ['vk_', 'vk_short', `${KEY}x`, `"${KEY}"`, `key=${KEY}`, `Bearer ${KEY} more`])
      expect(shown({ authorization: spelled })).toHaveLength(1)
    expect(shown({ authorization: `Bearer ${KEY} ${OTHER}` })).toHaveLength(2)
    expect(shown({ 'x-api-key': `${KEY}, ${OTHER}` })).toHaveLength(2)
    expect(shown({ 'x-api-key': KEY, 'api-key': OTHER })).toHaveLength(2)
  })

  it('is found in an address however it is escaped', () => {
    const at = (text: string) => isInAddress(`http://127.0.0.1:1/forward/x/y/${text}`)
    expect([KEY, `?key=${KEY}`, `?key=${KEY.replace('_', '%5f')}`, `a%zz${KEY}`].map(at)).toEqual(
      Array(4).fill(true),
    )
    expect(['', 'vk_', '?key=sk-x', '%zz'].map(at)).toEqual(Array(4).fill(false))
  })
})
