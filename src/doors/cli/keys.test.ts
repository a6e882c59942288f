import { describe, expect, it } from 'vitest'
import type { Narrowed, NarrowRequest, ValetKey } from '#client'
import { canary } from '../../testing/canary.ts'
import { type GrantWords, readGrants, readLimits } from './grants.ts'
import { NOW, play, recording } from './test-stage.ts'

const secret = `vk_0123456789abcdef_${canary('valetkey').padEnd(43, 'x').slice(0, 43)}`
const KEY: ValetKey = {
  id: 'key:0123456789abcdef',
  kind: 'key',
  name: 'ci',
  parent: 'person:owner',
  grants: [{ address: 'github/work', may: ['forward', 'lend'], limits: { rate: { uses: 60, seconds: 60 } } }],
  socket: null,
  thumbprint: null,
  createdAt: NOW.toISOString(),
  until: '2027-03-01T13:00:00.000Z',
}
const SOCKET: ValetKey = {
  ...KEY,
  id: 'socket:0123456789abcdef',
  kind: 'socket',
  socket: '/run/s/s',
  until: null,
}
const cutting = (asked: NarrowRequest[], made: Narrowed = { key: KEY, secret }) => ({
  narrow: recording(asked, made),
})

describe('cutting a key', () => {
  it('prints the key alone, and what it may where a person reads it', async () => {
    const asked: NarrowRequest[] = []
    const argv = ['keys', 'cut', 'ci', '--allow', 'github/work:forward,lend', '--rate', '60/m', '--for', '1h']
    const { stdout, stderr, exit } = await play(argv, { desk: cutting(asked) })
    expect(asked).toEqual([
      {
        kind: 'key',
        name: 'ci',
        grants: [
          { address: 'github/work', may: ['forward', 'lend'], limits: { rate: { uses: 60, seconds: 60 } } },
        ],
        until: '2027-03-01T13:00:00.000Z',
      },
    ])
    expect(stdout).toBe(`${secret}\n`)
    expect(stderr).toBe(
      `${KEY.id} may forward, lend github/work (60 uses a minute); this ends in 1 h\n` +
        `it is shown this once; to end it: valetkey keys kill ${KEY.id}\n`,
    )
    expect(exit).toBe(0)
  })

  it('prints one document with --json, the key among it', async () => {
    const { stdout } = await play(['keys', 'cut', 'ci', '--allow', 'openai', '--json'], { desk: cutting([]) })
    expect(JSON.parse(stdout)).toEqual({ key: KEY, secret })
  })

  it('binds it to the key that has this thumbprint', async () => {
    const asked: NarrowRequest[] = []
    const thumbprint = 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs'
    const made = { key: { ...KEY, thumbprint }, secret }
    const argv = ['keys', 'cut', 'ci', '--allow', 'openai', '--dpop', thumbprint]
    const { stderr } = await play(argv, { desk: cutting(asked, made) })
    expect(asked).toMatchObject([{ thumbprint }])
    expect(stderr).toContain('with proof of its own private key')
  })

  it('prints the path of a socket, which is all there is to know of it', async () => {
    const asked: NarrowRequest[] = []
    const argv = ['narrow', '--socket', '--allow', 'github/work:forward']
    const { stdout } = await play(argv, { desk: cutting(asked, { key: SOCKET, secret: null }) })
    expect(asked).toEqual([{ kind: 'socket', grants: [{ address: 'github/work', may: ['forward'] }] }])
    expect(stdout).toBe('/run/s/s\n')
  })

  it('is not done with nothing allowed, and asks nobody', async () => {
    for (const argv of [['keys', 'cut', 'ci'], ['narrow'], ['narrow', 'child', '--rate', '1/s']])
      expect(await play(argv)).toMatchObject({ exit: 2, stdout: '' })
  })

  it('takes no key on the command line', async () => {
    const { exit, stderr } = await play(['keys', 'kill', secret])
    expect([exit, stderr.includes(secret)]).toEqual([2, false])
  })
})

describe('the keys there are', () => {
  it('are listed with what they may, and who made them', async () => {
    const spoilt = { ...KEY, id: 'key:fedcba9876543210', grants: [], until: null }
    const asking = { ...SOCKET, grants: [], until: null }
    const proving = { ...KEY, thumbprint: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs' }
    const keys = async () => [KEY, spoilt, asking, proving]
    const { stdout } = await play(['keys'], { desk: { keys } })
    expect(stdout.split('\n').map((line) => line.replaceAll(/ {2,}/g, '  '))).toEqual([
      'id  name  may  made by  ends',
      'key:0123456789abcdef  ci  forward, lend github/work (60 uses a minute)  person:owner  in 1 h',
      'key:fedcba9876543210  ci  nothing: it was changed outside  person:owner  never',
      `${SOCKET.id}  ${SOCKET.name}  nothing: it asks, or was changed outside  person:owner  never`,
      'key:0123456789abcdef  ci  forward, lend github/work (60 uses a minute), with proof of its own private key  person:owner  in 1 h',
      '',
    ])
  })
})

describe('the words for what is allowed', () => {
  it.each<[GrantWords, unknown]>([
    [{}, []],
    [{ allow: ['openai'] }, [{ address: 'openai', may: ['forward'] }]],
    [{ allow: ['github/work:lend,connect,lend'] }, [{ address: 'github/work', may: ['lend', 'connect'] }]],
    [
      { allow: ['openai', 'github:reveal'], budget: '5' },
      [
        { address: 'openai', may: ['forward'], limits: { budget: 5 } },
        { address: 'github', may: ['reveal'], limits: { budget: 5 } },
      ],
    ],
  ])('%j are read', (words, grants) => {
    expect(readGrants(words)).toEqual(grants)
  })

  it.each([
    [{ rate: '60/m' }, { rate: { uses: 60, seconds: 60 } }],
    [{ rate: '10/s' }, { rate: { uses: 10, seconds: 1 } }],
    [{ rate: '100/5m' }, { rate: { uses: 100, seconds: 300 } }],
    [{ rate: '1000/d' }, { rate: { uses: 1000, seconds: 86_400 } }],
    [{ hours: '09:00-17:30' }, { hours: { from: '09:00', to: '17:30' } }],
    [{ hours: '22:00-06:00' }, { hours: { from: '22:00', to: '06:00' } }],
    [{ only: ['get /repos/*', '/v1/models'] }, { only: ['GET /repos/*', '/v1/models'] }],
    [{}, undefined],
  ])('%j are limits', (words, limits) => {
    expect(readLimits(words)).toEqual(limits)
  })

  it.each([
    { rate: '0/s' },
    { rate: '60' },
    { rate: '60/2d' },
    { rate: '60/w' },
    { budget: '0' },
    { budget: '1.5' },
    { hours: '9:00-17:00' },
    { hours: '24:00-01:00' },
    { hours: '09:00' },
    { only: ['repos'] },
    { only: ['GET repos'] },
    { only: ['GET /a b'] },
  ])('%j are none', (words) => {
    expect(() => readLimits(words)).toThrow(expect.objectContaining({ code: 'usage' }))
  })

  it.each(['openai:', 'openai:use', ':forward', 'open ai', `openai/${secret}`])(
    '%j is not allowed',
    (allow) => {
      expect(() => readGrants({ allow: [allow] })).toThrow(expect.objectContaining({ code: 'usage' }))
    },
  )
})
