import { getDomain } from 'tldts'
import { isPublicHostName } from './host-name.ts'

/** Labels that say what stands there, and not whose it is. */
const PLAIN = new Set(['mcp', 'www', 'api'])
const LONGEST = 50

/** The nicest name for the MCP server at an address that is free: `notion-mcp`, then `notion-mcp-2`. */
export function nameFor({ hostname }: URL, isFree: (name: string) => boolean): string {
  const name = `${wordsOf(hostname)}-mcp`
  let free = name
  for (let number = 2; !isFree(free); number += 1) free = `${name}-${number}`
  return free
}

/** Whose name was registered, after what else tells its servers apart: `docs.mcp.example.com` is `docs-example`. */
function wordsOf(host: string): string {
  if (!isPublicHostName(host)) return 'local'
  const domain = getDomain(host, { allowPrivateDomains: true }) ?? host
  const before = host.slice(0, Math.max(0, host.length - domain.length - 1)).split('.')
  const [own = ''] = domain.split('.')
  const words = [...before.filter((label) => label !== '' && !PLAIN.has(label)), own]
  return words.join('-').slice(-LONGEST).replace(/^-+/, '')
}
