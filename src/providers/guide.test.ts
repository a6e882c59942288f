import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readProvider } from './read.ts'

const guide = readFileSync(new URL('../../docs/providers.md', import.meta.url), 'utf8')
const blocks = [...guide.matchAll(/```json\n(.*?)```/gs)].map(([, text = '']) =>
  text.replaceAll('https://…', 'https://acme.com/x').replaceAll('"…"', '"x"'),
)
const [whole, parts] = [
  blocks.filter((text) => text.startsWith('{')),
  blocks.filter((text) => !text.startsWith('{')),
]

/** Something that the parts of a file are parts of. */
const acme = {
  id: 'acme',
  name: 'Acme',
  category: 'other',
  hosts: ['api.acme.com', '{app}'],
  vars: [{ name: 'app', label: 'App' }],
  oauth: { authorize: 'https://acme.com/a', token: 'https://api.acme.com/t' },
  registration: 'yours',
  signIns: [{ flow: 'authorization-code', present: [{ header: 'authorization', field: 'accessToken' }] }],
  revoke: { how: 'console' },
}

describe('the guide', () => {
  it.each(whole)('shows a file that can be used: %s', (text) => {
    expect(readProvider('guide.json', text).id).toBe('acme')
  })

  it.each(parts)('shows a part of one: %s', (text) => {
    const part = JSON.parse(`{${text.replace(', "sha256/…"', '')}}`)
    expect(readProvider('guide.json', JSON.stringify({ ...acme, ...part })).id).toBe('acme')
  })

  it('to MCP servers shows one that takes a key', () => {
    const text = readFileSync(new URL('../../docs/mcp.md', import.meta.url), 'utf8')
    const [, file = ''] = /```json\n(.*?)```/s.exec(text) ?? []
    expect(readProvider('guide.json', file)).toMatchObject({ id: 'acme-mcp', mcp: '/mcp' })
  })

  it('has some of both', () => {
    expect([whole.length, parts.length]).toEqual([5, 13])
  })
})
