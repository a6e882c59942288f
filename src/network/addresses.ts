import { BlockList, isIP } from 'node:net'

// What an address is when it is not somebody's place on the public internet. The first range that
// holds it gives it its name, so special places stand before the wide ranges around them.
const RANGES_4: ReadonlyArray<readonly [kind: string, ...ranges: string[]]> = [
  ['metadata', '169.254.169.254/32', '100.100.100.200/32', '192.0.0.192/32', '168.63.129.16/32'],
  ['loopback', '127.0.0.0/8'],
  ['unspecified', '0.0.0.0/8'],
  ['private', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'],
  ['link-local', '169.254.0.0/16'],
  ['carrier-grade nat', '100.64.0.0/10'],
  ['documentation', '192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24'],
  ['benchmarking', '198.18.0.0/15'],
  ['special-purpose', '192.0.0.0/24', '192.88.99.0/24'],
  ['multicast', '224.0.0.0/4'],
  ['broadcast', '255.255.255.255/32'],
  ['reserved', '240.0.0.0/4'],
]

const RANGES_6: ReadonlyArray<readonly [kind: string, ...ranges: string[]]> = [
  ['metadata', 'fd00:ec2::254/128'],
  ['unspecified', '::/128'],
  ['loopback', '::1/128'],
  ['ipv4-mapped', '::ffff:0:0/96', '::ffff:0:0:0/96'],
  ['ipv4-compatible', '::/96'],
  ['nat64', '64:ff9b::/96', '64:ff9b:1::/48'],
  ['discard', '100::/64'],
  ['teredo', '2001::/32'],
  ['documentation', '2001:db8::/32', '3fff::/20'],
  ['special-purpose', '2001::/23'],
  ['6to4', '2002::/16'],
  ['unique-local', 'fc00::/7'],
  ['link-local', 'fe80::/10'],
  ['site-local', 'fec0::/10'],
  ['multicast', 'ff00::/8'],
  // Only 2000::/3 is given out to anybody; these are all the rest.
  ['unassigned', '::/3', '4000::/2', '8000::/1'],
]

/** Names that lead to a cloud machine's own credentials, whatever they resolve to. */
const METADATA_NAMES: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.goog',
  'metadata.google.internal',
  'metadata.azure.internal',
  'metadata.packet.net',
  'metadata.platformequinix.com',
  'metadata.tencentyun.com',
  'instance-data',
  'instance-data.ec2.internal',
  'rancher-metadata',
])

/** Names that are private by their very ending. */
const PRIVATE_NAME = /(^|\.)(localhost|local|internal|localdomain|home\.arpa)$/

interface Range {
  readonly kind: string
  readonly list: BlockList
}

// One list for each family: asked about an IPv4 address, a list of IPv6 ranges answers for its
// mapped form, and would refuse every one of them.
const LISTS = { 4: listsOf(RANGES_4, 'ipv4'), 6: listsOf(RANGES_6, 'ipv6') } as const

function listsOf(table: typeof RANGES_4, family: 'ipv4' | 'ipv6'): readonly Range[] {
  return table.map(([kind, ...ranges]) => {
    const list = new BlockList()
    for (const range of ranges) {
      const [net = '', bits] = range.split('/')
      list.addSubnet(net, Number(bits), family)
    }
    return { kind, list }
  })
}

/** What kind of closed place an address is; undefined for a public one. What is no address is closed. */
export function closedAddress(address: string): string | undefined {
  const [bare = ''] = address.split('%')
  const family = isIP(bare)
  if (family !== 4 && family !== 6) return 'unreadable'
  return LISTS[family].find(({ list }) => list.check(bare, family === 4 ? 'ipv4' : 'ipv6'))?.kind
}

/** The same for a URL's host, as far as it can be judged before its name is looked up. */
export function closedHost(hostname: string): string | undefined {
  const host = hostname.toLowerCase().replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0) return closedAddress(host)
  const name = host.replace(/\.+$/, '')
  if (name === '') return 'unreadable'
  if (METADATA_NAMES.has(name)) return 'metadata'
  return PRIVATE_NAME.test(name) ? 'private' : undefined
}
