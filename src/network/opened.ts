import { ValetkeyError } from '#client'

/** What the operator opened by name, beyond public https. */
export interface Opened {
  has(url: URL): boolean
}

/**
 * `http://host:port` opens that origin, `host:port` both schemes at that port, and a bare `host`
 * every port, but over https only: plain http is never opened without naming its port.
 */
export function openedBy(allow: readonly string[]): Opened {
  const origins = new Set<string>()
  const hosts = new Set<string>()
  for (const entry of allow) {
    if (/^https?:\/\//.test(entry)) origins.add(parse(entry, entry).origin)
    else if (/:\d+$/.test(entry)) {
      for (const scheme of ['http', 'https']) origins.add(parse(entry, `${scheme}://${entry}`).origin)
    } else hosts.add(parse(entry, `https://${entry}`).hostname)
  }
  return {
    has: (url) => origins.has(url.origin) || (url.protocol === 'https:' && hosts.has(url.hostname)),
  }
}

function parse(entry: string, link: string): URL {
  const url = URL.canParse(link) ? new URL(link) : undefined
  const bare = url && url.pathname === '/' && url.search + url.hash + url.username + url.password === ''
  if (url && bare) return url
  throw new ValetkeyError('config-invalid', `"${entry}" opens nothing`, {
    hint: 'write host, host:port or http://host:port',
  })
}
