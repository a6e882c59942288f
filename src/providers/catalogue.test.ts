import { describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import type { ProviderFile } from '../model/provider.ts'
import { readBuiltIn } from './built-in.ts'
import { openCatalogue } from './catalogue.ts'

const builtIn = readBuiltIn()

const acme: ProviderFile = {
  id: 'acme',
  name: 'Acme',
  category: 'other',
  hosts: ['api.acme.test'],
  registration: 'none',
  signIns: [
    {
      flow: 'api-key',
      fields: [{ name: 'key', label: 'Key' }],
      present: [{ header: 'x-key', field: 'key' }],
    },
  ],
  revoke: { how: 'console' },
}

const open = (own: readonly object[], origins = {}) =>
  openCatalogue({
    builtIn,
    own: own.map((one, i) => ({ file: `${i + 1}.json`, text: JSON.stringify(one) })),
    origins,
  })

function refusal(work: () => unknown): ValetkeyError {
  try {
    work()
  } catch (error) {
    if (error instanceof ValetkeyError) return error
    throw error
  }
  throw new Error('it was not refused')
}

const withSignIn = (change: object) => ({ ...acme, signIns: [{ ...acme.signIns[0], ...change }] })

describe("the owner's own providers", () => {
  it('stand beside the built-in ones, and are shown as theirs', () => {
    const catalogue = open([{ ...acme, aliases: ['ac'] }])
    expect(catalogue.find('acme')?.name).toBe('Acme')
    expect(catalogue.find('ac')?.id).toBe('acme')
    expect([
      catalogue.isBuiltIn('acme'),
      catalogue.isBuiltIn('openai'),
      catalogue.isBuiltIn('nobody'),
    ]).toEqual([false, true, false])
  })

  it('may stand in the place of a built-in with the same id', () => {
    const catalogue = open([{ ...acme, id: 'openai' }])
    expect(catalogue.find('openai')?.name).toBe('Acme')
    expect(catalogue.isBuiltIn('openai')).toBe(false)
    expect(catalogue.list().filter(({ id }) => id === 'openai')).toHaveLength(1)
  })

  it('may be called by what a built-in calls one of its ways in, which then is found by its other names', () => {
    const catalogue = open([{ ...acme, id: 'codex' }])
    expect(catalogue.find('codex')?.name).toBe('Acme')
    expect(catalogue.find('chatgpt')?.id).toBe('openai')
  })

  it.each<[string, object, string]>([
    [
      'a way in that is called as a built-in calls one of its own',
      withSignIn({ called: ['codex'] }),
      '1.json: signIns.called "codex" is the name of a built-in provider',
    ],
    [
      'a host apart that nobody may have',
      withSignIn({ apart: { hosts: ['localhost'] } }),
      '1.json: signIns[0].apart.hosts[0]',
    ],
    ['a missing field', { ...acme, name: undefined }, '1.json: name is missing'],
    ['a misspelt field', { ...acme, host: ['a.test'] }, '1.json: has no field "host"'],
    ['a field of the wrong type', { ...acme, hosts: 'api.acme.test' }, '1.json: hosts must be an array'],
    ['an id with capitals', { ...acme, id: 'Acme' }, '1.json: id must be lower-case letters'],
    ['an unknown category', { ...acme, category: 'toys' }, '1.json: category must be "ai" or'],
    [
      'a host with a scheme',
      { ...acme, hosts: ['https://a.test'] },
      '1.json: hosts[0] must be the name of a host',
    ],
    [
      'a check over plain http',
      withSignIn({ verify: { url: 'http://api.acme.test/' } }),
      '1.json: signIns[0].verify.url must be an address that begins with https://',
    ],
    [
      'a header with capitals',
      withSignIn({ present: [{ header: 'X-Key', field: 'key' }] }),
      '1.json: signIns[0].present[0].header must be the name of a header',
    ],
    [
      'a pattern that is none',
      withSignIn({ recognise: '(' }),
      '1.json: signIns[0].recognise is not a regular expression',
    ],
    [
      'a field that is worn and not asked',
      withSignIn({ fields: [] }),
      '1.json: signIns[0].present[0] names the field "key", which is not among fields',
    ],
    [
      'a check at another host',
      withSignIn({ verify: { url: 'https://evil.test/' } }),
      '1.json: signIns[0].verify.url must go to one of hosts',
    ],
    [
      'a check at a look-alike of its host',
      withSignIn({ verify: { url: 'https://api.acme.test@evil.test/' } }),
      '1.json: signIns[0].verify.url must go to one of hosts',
    ],
    [
      'an undeclared variable',
      { ...acme, hosts: ['{site}.acme.test'] },
      '1.json: hosts[0] names a variable that is not among vars',
    ],
    [
      'a header that ends requests elsewhere',
      { ...acme, headers: { host: 'evil.test' } },
      '1.json: headers.host is not for a provider to set',
    ],
    [
      'a header with a line end',
      { ...acme, headers: { accept: 'a\r\nb: c' } },
      '1.json: headers.accept must be visible ASCII',
    ],
    [
      'the same flow twice',
      { ...acme, signIns: [acme.signIns[0], acme.signIns[0]] },
      '1.json: signIns[1].flow repeats the flow "api-key"',
    ],
    [
      'a field called keep',
      withSignIn({
        fields: [
          { name: 'key', label: 'Key' },
          { name: 'keep', label: 'K' },
        ],
      }),
      '1.json: signIns[0].fields cannot use the name "keep"',
    ],
    [
      'a link with a variable',
      { ...acme, revoke: { how: 'console', at: 'https://{x}.test' } },
      '1.json: revoke.at must be an address without variables',
    ],
    [
      'a variable of another form',
      { ...acme, programs: { token: ['acme-token'] } },
      '1.json: programs.token[0] must be the name of a variable, in upper case',
    ],
    [
      'a variable for a field that it has not',
      { ...acme, programs: { fields: { secret: ['ACME_SECRET'] } } },
      '1.json: programs.fields names the field "secret", which is not among fields',
    ],
    [
      'an address for programs that have nothing to show there',
      { ...acme, programs: { baseUrl: { variables: ['ACME_URL'] } } },
      '1.json: programs must have baseUrl and key, or neither',
    ],
  ])('are refused with the file, the field and the reason: %s', (_, file, message) => {
    const error = refusal(() => open([file]))
    expect(error.code).toBe('config-invalid')
    expect(error.message).toContain(message)
    expect(error.hint).toBeTruthy()
  })

  it('are refused where they are no JSON, with the place', () => {
    const broken = { file: 'mine.json', text: `{\n  "id": "${'a'.repeat(60)}",\n}` }
    const error = refusal(() => openCatalogue({ builtIn, own: [broken], origins: {} }))
    expect(error).toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('mine.json: is not JSON, at line 3'),
    })
  })

  it.each<[string, readonly object[], string]>([
    ['the same id', [acme, acme], '2.json: id "acme" is already used by 1.json'],
    [
      'an alias that is another id',
      [acme, { ...acme, id: 'other', aliases: ['acme'] }],
      '2.json: aliases[0] "acme" is already used by 1.json',
    ],
    [
      'an alias that is a built-in',
      [{ ...acme, aliases: ['github'] }],
      '1.json: aliases[0] "github" is the name of a built-in provider',
    ],
  ])('never claim one name twice: %s', (_, files, message) => {
    expect(refusal(() => open(files))).toMatchObject({ code: 'config-invalid', message })
  })

  it.each([
    '127.0.0.1',
    '10.0.0.1',
    'localhost',
    'printer',
    'nas.local',
    'metadata.google.internal',
    'router.home.arpa',
    '169.254.169.254',
    '2130706433',
    '127.0.0.0x1',
    'api.acme.test.',
    '-a.test',
    'a_b.test',
  ])('[security 20.4] name public hosts only: not %s', (host) => {
    expect(refusal(() => open([{ ...acme, hosts: [host] }])).message).toContain('hosts[0] must be')
  })

  it.each([
    ['a variable with no fixed domain behind it', 'api.{site}'],
    ['a variable before a lone suffix', '{site}.com'],
    ['a variable inside the domain itself', 'api.my{site}.com'],
  ])('[security 1.17] cannot let a pattern decide where a credential goes: %s', (_, host) => {
    const vars = [{ name: 'site', label: 'Site', pattern: '.*' }]
    expect(refusal(() => open([{ ...acme, vars, hosts: [host] }])).message).toContain(
      'must end in a fixed domain',
    )
  })
})

describe('a pasted key', () => {
  it('names no provider when two claim its shape', () => {
    const shaped = { ...withSignIn({ recognise: 'acme-[a-z]+' }) }
    expect(open([shaped]).recognise('acme-abc')?.id).toBe('acme')
    expect(open([shaped, { ...shaped, id: 'acme2' }]).recognise('acme-abc')).toBeUndefined()
  })

  it('must have the shape from its first to its last character', () => {
    const catalogue = open([withSignIn({ recognise: 'acme-[a-z]+' })])
    for (const key of ['see acme-abc', 'acme-abc!', 'acme-abc\n', 'acme-'])
      expect(catalogue.recognise(key)).toBeUndefined()
  })
})

describe('a stand-in', () => {
  it('is refused for a provider that is not there, and where it is no origin', () => {
    const refuse = (origins: object) => refusal(() => open([], origins)).message
    expect(refuse({ opnai: 'http://127.0.0.1:1' })).toBe('the stand-in for opnai: there is no such provider')
    for (const origin of [
      '127.0.0.1:1',
      'file:///etc',
      'http://127.0.0.1:1/v1',
      'http://u:p@127.0.0.1:1',
      '',
    ])
      expect(refuse({ openai: origin })).toContain('must be an origin')
  })
})

describe('a provider that is kept', () => {
  const notes: ProviderFile = { ...acme, id: 'notes-mcp', hosts: ['mcp.notes.test'] }

  function keeping(own: readonly object[] = []) {
    const written: (readonly [string, string])[] = []
    const catalogue = openCatalogue({
      builtIn,
      own: own.map((one, i) => ({ file: `${i + 1}.json`, text: JSON.stringify(one) })),
      origins: {},
      write: async (file, text) => void written.push([file, text]),
    })
    return { catalogue, written }
  }

  it('is known at once, is its owner’s, and takes its name', async () => {
    const { catalogue, written } = keeping()
    expect((await catalogue.keep(notes)).hosts).toEqual(['mcp.notes.test'])
    expect(catalogue.find('notes-mcp')?.hosts).toEqual(['mcp.notes.test'])
    expect(catalogue.isBuiltIn('notes-mcp')).toBe(false)
    expect(catalogue.freeName(new URL('https://mcp.notes.test'))).toBe('notes-mcp-2')
    expect(written).toEqual([['notes-mcp.json', `${JSON.stringify(notes, null, 2)}\n`]])
  })

  it('takes the place of the file it was read from', async () => {
    const { catalogue, written } = keeping([notes])
    await catalogue.keep({ ...notes, name: 'Notes' })
    expect(catalogue.list().filter(({ id }) => id === 'notes-mcp')).toMatchObject([{ name: 'Notes' }])
    expect(written.map(([file]) => file)).toEqual(['1.json'])
  })

  it.each(['openai', 'github'])('is never one that comes with Valetkey: %s', async (id) => {
    const { catalogue, written } = keeping()
    await expect(catalogue.keep({ ...notes, id })).rejects.toMatchObject({ code: 'conflict' })
    expect(written).toEqual([])
    expect(catalogue.isBuiltIn(id)).toBe(true)
  })

  it('is nothing that could not be read again', async () => {
    const { catalogue, written } = keeping()
    await expect(catalogue.keep({ ...notes, hosts: ['localhost'] })).rejects.toMatchObject({
      code: 'config-invalid',
    })
    expect([catalogue.find('notes-mcp'), written]).toEqual([undefined, []])
  })

  it('is forgotten again where it cannot be written', async () => {
    const catalogue = openCatalogue({
      builtIn,
      own: [],
      origins: {},
      write: () => Promise.reject(new ValetkeyError('disk-full', 'the disk is full')),
    })
    await expect(catalogue.keep(notes)).rejects.toMatchObject({ code: 'disk-full' })
    expect(catalogue.find('notes-mcp')).toBeUndefined()
  })
})

describe('a way in that stands apart from the rest of its provider', () => {
  const catalogue = open([])

  it('is found by a name of its own, and comes first there', () => {
    const flowsOf = (name: string) => catalogue.find(name)?.signIns.map(({ flow }) => flow)
    expect(flowsOf('codex')).toEqual(['authorization-code', 'device-code', 'api-key'])
    expect(flowsOf('openai')).toEqual(['api-key', 'authorization-code', 'device-code'])
    expect(catalogue.find('codex')?.id).toBe('openai')
  })

  it('is seen with its own hosts, headers and server; the rest is as it was', () => {
    expect(catalogue.find('openai')).toMatchObject({ hosts: ['api.openai.com'], registration: 'none' })
    expect(catalogue.find('openai')?.oauth).toBeUndefined()
    const apart = catalogue.find('openai', 'authorization-code')
    expect(apart).toMatchObject({ hosts: ['chatgpt.com'], revoke: { how: 'console' } })
    expect(apart?.oauth).toMatchObject({ token: 'https://auth.openai.com/oauth/token', clientAuth: 'none' })
    expect(catalogue.find('anthropic', 'authorization-code')?.headers).toHaveProperty('anthropic-beta')
    expect(catalogue.find('anthropic')?.headers).not.toHaveProperty('anthropic-beta')
  })

  it('is the same one each time, and that of a way that is not apart is the provider itself', () => {
    expect(catalogue.find('codex', 'device-code')).toBe(catalogue.find('codex', 'device-code'))
    expect(catalogue.find('openai', 'api-key')).toBe(catalogue.find('openai'))
  })
})
