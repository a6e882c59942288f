import { describe, expect, it } from 'vitest'
import { nameFor } from './naming.ts'

const named = (link: string, ...taken: readonly string[]) =>
  nameFor(new URL(link), (name) => !taken.includes(name))

describe('the name of a provider that is known by its address', () => {
  it.each([
    ['https://mcp.notion.com/mcp', 'notion-mcp'],
    ['https://notion.com/mcp', 'notion-mcp'],
    ['https://api.acme.co.uk/mcp', 'acme-mcp'],
    ['https://docs.mcp.cloudflare.com/sse', 'docs-cloudflare-mcp'],
    ['https://notes.somebody.workers.dev/mcp', 'notes-somebody-mcp'],
    ['https://xn--bcher-kva.example/mcp', 'xn--bcher-kva-mcp'],
    ['http://127.0.0.1:4010/mcp', 'local-mcp'],
  ])('of %s is %s', (link, name) => {
    expect(named(link)).toBe(name)
  })

  it('is the next one where that is taken', () => {
    expect(named('https://mcp.notion.com', 'notion-mcp', 'notion-mcp-2')).toBe('notion-mcp-3')
  })

  it('can be written, however long the host is', () => {
    const host = `${'a'.repeat(60)}.${'b'.repeat(60)}.example.com`
    expect(named(`https://${host}`)).toMatch(/^[a-z0-9][a-z0-9._-]{0,62}$/)
  })
})
