import { describe, expect, it } from 'vitest'
import { closedAddress, closedHost } from './addresses.ts'

describe('an address', () => {
  it.each([
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['10.0.0.1', 'private'],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.1.1', 'private'],
    ['169.254.1.1', 'link-local'],
    ['169.254.169.254', 'metadata'],
    ['168.63.129.16', 'metadata'],
    ['100.64.0.1', 'carrier-grade nat'],
    ['100.127.255.255', 'carrier-grade nat'],
    ['192.0.0.8', 'special-purpose'],
    ['198.19.255.255', 'benchmarking'],
    ['203.0.113.7', 'documentation'],
    ['239.255.255.250', 'multicast'],
    ['240.0.0.1', 'reserved'],
    ['255.255.255.255', 'broadcast'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'ipv4-mapped'],
    ['::ffff:8.8.8.8', 'ipv4-mapped'],
    ['::7f00:1', 'ipv4-compatible'],
    ['64:ff9b::7f00:1', 'nat64'],
    ['64:ff9b:1::a00:1', 'nat64'],
    ['2002:7f00:1::', '6to4'],
    ['2001:0:4136:e378:8000:63bf:3fff:fdd2', 'teredo'],
    ['2001:db8::1', 'documentation'],
    ['fc00::1', 'unique-local'],
    ['fdff::1', 'unique-local'],
    ['fe80::1%eth0', 'link-local'],
    ['fec0::1', 'site-local'],
    ['ff02::1', 'multicast'],
    ['4000::1', 'unassigned'],
    ['no address', 'unreadable'],
  ])('[security 20.4] %s is closed: %s', (address, kind) => {
    expect(closedAddress(address)).toBe(kind)
  })

  it.each([
    '1.1.1.1',
    '8.8.8.8',
    '100.63.255.255',
    '100.128.0.1',
    '172.15.255.255',
    '172.32.0.1',
    '169.253.1.1',
    '198.17.1.1',
    '223.255.255.255',
    '2606:4700:4700::1111',
    '2a00:1450:4001:80b::200e',
    '2003::1',
  ])('%s is public', (address) => {
    expect(closedAddress(address)).toBeUndefined()
  })
})

describe('a host', () => {
  it.each([
    'localhost',
    'LOCALHOST.',
    'a.localhost',
    'printer.local',
    'metadata.google.internal.',
    'metadata',
    '[::1]',
    '',
  ])('[security 20.4] "%s" is closed without being looked up', (host) => {
    expect(closedHost(host)).toBeDefined()
  })

  it.each(['api.openai.com', 'localhost.example.com', 'internal.example.com', '8.8.8.8', '[2606:4700::1]'])(
    '"%s" is not',
    (host) => {
      expect(closedHost(host)).toBeUndefined()
    },
  )
})
