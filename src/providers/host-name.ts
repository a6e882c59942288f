// Names that only mean something inside one network or one machine. The guard on the way out
// judges the address that a name turns out to have; this list refuses earlier, and in words.
const PRIVATE = new Set([
  'localhost',
  'localdomain',
  'local',
  'internal',
  'intranet',
  'lan',
  'home',
  'corp',
  'private',
  'onion',
  'home.arpa',
])

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/** Whether this reads as a host on the public internet: no address, no lone label, no private suffix. */
export function isPublicHostName(host: string): boolean {
  const labels = host.split('.')
  const top = labels.at(-1) ?? ''
  return (
    host.length <= 253 &&
    labels.length >= 2 &&
    labels.every((label) => LABEL.test(label)) &&
    /[a-z]/.test(top) &&
    !top.startsWith('0x') &&
    !PRIVATE.has(top) &&
    !PRIVATE.has(labels.slice(-2).join('.'))
  )
}

/**
 * This very computer, at a port that is named. It is reached by plain http, and only where the
 * operator opened that port on the way out.
 */
export function isLoopback(host: string): boolean {
  return /^127\.0\.0\.1:\d{1,5}$/.test(host)
}
