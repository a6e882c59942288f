import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type AuditQuery,
  type BindRequest,
  type ForwardAnswer,
  type ForwardRequest,
  type Imported,
  type Lease,
  type LeaseQuery,
  type LendRequest,
  type RekeyRequest,
  type UsageQuery,
  ValetkeyError,
  type VaultStatus,
} from '#client'
import { leave } from '../../../test/leave.ts'
import { canary } from '../../testing/canary.ts'
import type { ServeOptions } from './hands.ts'
import type { Question } from './prompts.ts'
import { ACCOUNT, lent, NOW, play, recording } from './test-stage.ts'

const STATUS: VaultStatus = {
  id: 'vault-1',
  locked: true,
  keySource: 'passphrase',
  engine: 'sqlite',
  home: '/home/ada',
  socket: '/nowhere/valetkey.sock',
  pid: 42,
  version: '0.1.0',
  startedAt: '2027-03-01T11:00:00Z',
  restored: false,
  accounts: null,
}

const BINDING = {
  id: 'bind-1',
  caller: 'app:reports',
  accountId: 'account-1',
  address: 'github/work',
  may: ['lend', 'forward'],
  asks: 'never',
  limits: null,
  createdAt: NOW.toISOString(),
  until: '2027-03-01T13:00:00.000Z',
} as const

describe('forward', () => {
  function upstream(status: number, body: string) {
    const asked: ForwardRequest[] = []
    const forward = async (request: ForwardRequest): Promise<ForwardAnswer> => {
      asked.push(request)
      return { status, headers: [['content-type', 'text/plain']], body: new Response(body).body }
    }
    return { asked, desk: { forward } }
  }

  it('prints the body as it came, and nothing else', async () => {
    const { desk, asked } = upstream(200, '{"a":1}')
    const argv = ['forward', 'openai', 'post', '/v1/x', '-H', 'X-Thing: a: b', '--data', '{"q":1}']
    expect(await play(argv, { desk })).toEqual({ exit: 0, stdout: '{"a":1}', stderr: '' })
    expect(asked).toEqual([
      {
        address: 'openai',
        method: 'POST',
        path: '/v1/x',
        headers: { 'content-type': 'application/json', 'x-thing': 'a: b' },
        body: '{"q":1}',
      },
    ])
  })

  it('prints the body of a refusal too, and fails', async () => {
    const { desk } = upstream(404, 'no such model')
    expect(await play(['forward', 'openai', 'GET', '/v1/x'], { desk })).toEqual({
      exit: 1,
      stdout: 'no such model',
      stderr: '! upstream answered 404\n',
    })
  })

  it('prints status and headers where they are wanted', async () => {
    const { desk } = upstream(200, 'hello')
    const { stdout } = await play(['forward', 'openai', 'GET', '/', '--include'], { desk })
    expect(stdout).toBe('HTTP 200\ncontent-type: text/plain\n\nhello')
    const { stdout: json } = await play(['forward', 'openai', 'GET', '/', '--json'], { desk })
    expect(JSON.parse(json)).toEqual({
      status: 200,
      headers: [['content-type', 'text/plain']],
      body: 'hello',
    })
  })

  it('sends what comes on standard input', async () => {
    const sent: string[] = []
    const forward = async ({ body }: ForwardRequest) => {
      sent.push(await new Response(body as ReadableStream).text())
      return { status: 204, headers: [], body: null }
    }
    await play(['forward', 'openai', 'POST', '/', '--data-stdin'], { desk: { forward }, stdin: 'a body' })
    expect(sent).toEqual(['a body'])
  })

  for (const header of ['nothing', 'na me: x', 'authorization: Basic x', 'X-Api-Key: x', 'a: b\nc: d']) {
    it(`refuses the header ${JSON.stringify(header)}`, async () => {
      const { exit, stderr } = await play(['forward', 'openai', 'GET', '/', '-H', header])
      expect([exit, stderr]).toEqual([2, expect.stringMatching(/^! usage: /)])
    })
  }
})

describe('reveal', () => {
  const refusal = new ValetkeyError('not-allowed', 'person:owner may not reveal openai', {
    hint: 'valetkey bind me openai --may reveal --until 10m',
  })

  function guarded(secret: string) {
    const bound: BindRequest[] = []
    const reveal = async () => {
      if (bound.length === 0) throw refusal
      return lent(secret, { key: secret })
    }
    const bind = recording(bound, { ...BINDING, may: ['reveal'] as const })
    return { bound, desk: { reveal, bind } }
  }

  it('asks its owner, binds for ten minutes and shows it', async () => {
    const secret = canary('reveal')
    const { desk, bound } = guarded(secret)
    const { stdout, stderr } = await play(['reveal', 'openai'], {
      desk,
      prompts: { confirm: async () => true },
    })
    expect(stdout).toBe(`${secret}\n`)
    expect(stderr).toContain('valetkey unbind bind-1')
    expect(bound).toEqual([
      {
        caller: 'person:owner',
        address: 'openai',
        may: ['reveal'],
        asks: 'never',
        until: '2027-03-01T12:10:00.000Z',
      },
    ])
  })

  it('shows nothing to whoever says no', async () => {
    const { desk, bound } = guarded(canary('reveal'))
    const told = await play(['reveal', 'openai'], { desk, prompts: { confirm: async () => false } })
    expect([told, bound]).toEqual([{ exit: 1, stdout: '', stderr: 'cancelled\n' }, []])
  })

  it('is refused where nobody can be asked', async () => {
    const { desk, bound } = guarded(canary('reveal'))
    const { exit, stdout, stderr } = await play(['reveal', 'openai'], { desk })
    expect([exit, stdout, bound]).toEqual([4, '', []])
    expect(stderr).toContain('  hint: valetkey bind me openai --may reveal --until 10m')
  })

  it('names the fields where there are several', async () => {
    const reveal = async () => lent('a', { key: 'a', applicationKey: 'b' })
    expect((await play(['reveal', 'datadog'], { desk: { reveal } })).stdout).toBe('key=a\napplicationKey=b\n')
  })
})

describe('revoke', () => {
  const revoke = async () => ({
    accountId: 'account-1',
    address: 'openai',
    at: NOW.toISOString(),
    lines: [{ what: 'API key', state: 'alive' as const, how: 'only you can end it, at https://example.com' }],
    livesOn: [],
    leasesEnded: 2,
    bindingsEnded: 1,
  })

  it('prints the receipt', async () => {
    const { stdout, exit } = await play(['revoke', 'openai', '--yes'], { desk: { revoke } })
    expect(stdout).toBe(
      [
        'revoked openai',
        '  still alive: API key, only you can end it, at https://example.com',
        '  leases ended: 2',
        '  bindings ended: 1',
        '',
      ].join('\n'),
    )
    expect(exit).toBe(0)
  })

  it('says what is queued, and what goes on being usable until when', async () => {
    const until = new Date(NOW.getTime() + 12 * 60_000).toISOString()
    const how = 'the provider could not be reached; it is tried again until it is done, for up to 7 days'
    const later = async () => ({
      ...(await revoke()),
      address: 'github',
      lines: [
        { what: 'refresh token', state: 'queued' as const, how },
        { what: 'access token', state: 'died' as const, how: 'ended at the provider' },
      ],
      livesOn: [{ address: 'github', caller: 'app:reports', until }],
    })
    const { stdout, stderr } = await play(['revoke', 'github', '--yes'], { desk: { revoke: later } })
    expect(stdout.split('\n').slice(1, 4)).toEqual([
      `  queued: refresh token, ${how}`,
      '  ended: access token, ended at the provider',
      '  still usable: what app:reports has of github, and dies by itself in 12 min',
    ])
    expect(stderr).toContain('valetkey revoke --pending')
  })

  it('ends what a caller may use, and says what only it itself can give up', async () => {
    const revokeCaller = async (caller: string) => ({
      caller,
      at: NOW.toISOString(),
      livesOn: [{ address: 'openai', caller, until: null }],
      leasesEnded: 1,
      bindingsEnded: 2,
    })
    const { stdout } = await play(['revoke', '--caller', 'app:reports'], { desk: { revokeCaller } })
    expect(stdout).toBe(
      [
        'app:reports may use nothing any more',
        '  still usable: what app:reports has of openai, and never dies by itself; ' +
          'to end it before: valetkey rotate openai',
        '  leases ended: 1',
        '  bindings ended: 2',
        '',
      ].join('\n'),
    )
  })

  it('ends all accounts only when that was confirmed', async () => {
    const asked: Question[] = []
    const desk = { revokeAll: async () => [await revoke()] }
    expect((await play(['revoke', '--all'], { desk })).exit).toBe(2)
    const no = { desk, prompts: { confirm: recording(asked, false) } }
    expect((await play(['revoke', '--all'], no)).exit).toBe(1)
    expect(asked).toEqual([{ message: 'end all your accounts for good, with all leases and bindings?' }])
    const { stdout, exit } = await play(['revoke', '--all', '--yes', '--json'], { desk })
    expect([JSON.parse(stdout), exit]).toEqual([[await revoke()], 0])
    const none = { desk: { revokeAll: async () => [] } }
    expect((await play(['revoke', '--all', '--yes'], none)).stderr).toContain('there are no accounts')
  })

  it('ends the accounts of one owner, and says whose before it does', async () => {
    const asked: Question[] = []
    const whose: (string | undefined)[] = []
    const keeper = { revokeEverything: recording(whose, []) }
    const confirm = recording(asked, true)
    const argv = ['vault', 'revoke-everything', '--owner']
    await play([...argv, 'person:ada'], { keeper, prompts: { confirm } })
    await play([...argv, 'me', '--yes'], { keeper })
    expect((await play([...argv, 'app:reports', '--yes'], { keeper })).exit).toBe(2)
    expect((await play([...argv, '', '--yes'], { keeper })).exit).toBe(2)
    expect(asked).toEqual([{ message: 'end every account of person:ada for good?' }])
    expect(whose).toEqual(['person:ada', 'person:owner'])
    await play(['vault', 'revoke-everything', '--yes'], { keeper })
    expect(whose.at(-1)).toBe(undefined)
  })

  it('lists what providers have still to be told', async () => {
    const at = (minutes: number) => new Date(NOW.getTime() + minutes * 60_000).toISOString()
    const outbox = async () => [
      {
        id: 'owed-1',
        accountId: 'account-1',
        address: 'github/work',
        since: at(-10),
        tries: 4,
        nextTryAt: at(5),
        until: at(7 * 24 * 60),
        reason: 'the provider has trouble of its own',
      },
    ]
    const { stdout } = await play(['revoke', '--pending'], { desk: { outbox } })
    expect(stdout).toMatch(/github\/work +10 min ago +4 +in 5 min +in 7 days +the provider has trouble/)
    const none = await play(['revoke', '--pending'], { desk: { outbox: async () => [] } })
    expect(none.stderr).toContain('no provider has to be told anything')
  })

  it.each([
    ['nothing at all', []],
    ['two things at once', ['openai', '--all']],
  ])('takes %s for a misunderstanding', async (_, argv) => {
    const { exit, stderr } = await play(['revoke', ...argv, '--yes'])
    expect([exit, stderr]).toEqual([2, expect.stringContaining('revoke what?')])
  })

  it('asks first, and does nothing on a no or where nobody can be asked', async () => {
    const asked: Question[] = []
    const confirm = recording(asked, false)
    expect(await play(['revoke', 'openai'], { prompts: { confirm } })).toMatchObject({ exit: 1, stdout: '' })
    expect(asked).toEqual([{ message: 'end openai for good, with all its leases and bindings?' }])
    const { exit, stderr } = await play(['revoke', 'openai'])
    expect([exit, stderr]).toEqual([2, expect.stringContaining('add --yes')])
  })
})

describe('rotate by rule', () => {
  const asked: unknown[] = []
  const rotateEvery = async (address: string, days: number | null) => {
    asked.push([address, days])
    const rotateAt = days === null ? null : new Date(NOW.getTime() + days * 24 * 60 * 60_000).toISOString()
    return { ...ACCOUNT, rotateAt }
  }

  it('says when it is due', async () => {
    const every = await play(['rotate', 'openai', '--every', '12w'], { desk: { rotateEvery } })
    expect(every.stdout).toBe('openai is due to be rotated in 84 days\n')
    const never = await play(['rotate', 'openai', '--never'], { desk: { rotateEvery } })
    expect(never.stdout).toBe('openai is rotated only when you want it\n')
    expect(asked).toEqual([
      ['openai', 84],
      ['openai', null],
    ])
  })

  it.each([['12h'], ['36h'], ['often']])('takes no %s', async (time) => {
    expect((await play(['rotate', 'openai', '--every', time], { desk: { rotateEvery } })).exit).toBe(2)
  })
})

describe('bind', () => {
  it('says what it permits, and prints the id alone', async () => {
    const asked: BindRequest[] = []
    const bind = recording(asked, BINDING)
    const argv = ['bind', 'app:reports', 'github/work', '--may', 'lend,forward', '--until', '1h']
    const { stdout, stderr } = await play(argv, { desk: { bind } })
    expect(asked).toEqual([
      {
        caller: 'app:reports',
        address: 'github/work',
        may: ['lend', 'forward'],
        until: '2027-03-01T13:00:00.000Z',
      },
    ])
    expect(stdout).toBe('bind-1\n')
    expect(stderr).toBe('app:reports may lend, forward github/work; this ends in 1 h\n')
  })

  it('counts what is said twice twice', async () => {
    const asked: BindRequest[] = []
    const bind = recording(asked, BINDING)
    await play(['bind', 'me', 'openai', '--may', 'lend', '--may', 'forward'], { desk: { bind } })
    expect(asked).toMatchObject([{ may: ['lend', 'forward'] }])
  })

  it('knows who is meant by me', async () => {
    const asked: BindRequest[] = []
    const bind = recording(asked, BINDING)
    await play(['bind', 'me', 'openai'], { desk: { bind } })
    expect(asked).toEqual([{ caller: 'person:owner', address: 'openai', may: ['forward'] }])
  })
})

describe('audit', () => {
  it('asks for what was narrowed down', async () => {
    const asked: (AuditQuery | undefined)[] = []
    const audit = recording(asked, [])
    const argv = ['audit', 'list', '--verb', 'lend', '--caller', 'me', '--since', '1h', '--limit', '5']
    await play(argv, { desk: { audit } })
    expect(asked).toEqual([
      { verb: 'lend', caller: 'person:owner', since: '2027-03-01T11:00:00.000Z', limit: 5 },
    ])
  })

  const verdict = { ok: true, entries: 7, head: 7, checkedAt: NOW.toISOString(), problems: [] }

  it('says ok, or fails and says why', async () => {
    const fine = await play(['audit', 'verify'], { keeper: { verifyAudit: async () => verdict } })
    expect(fine).toEqual({ exit: 0, stdout: 'ok: 7 entries, up to 7\n', stderr: '' })
    const bad = { ...verdict, ok: false, problems: ['entry 3 was changed'] }
    const found = await play(['audit', 'verify'], { keeper: { verifyAudit: async () => bad } })
    expect([found.exit, found.stdout]).toEqual([1, 'entry 3 was changed\n'])
    expect(found.stderr).toContain('! tampered: the record does not verify (problems: 1)')
    const json = await play(['audit', 'verify', '--json'], { keeper: { verifyAudit: async () => bad } })
    expect([json.exit, JSON.parse(json.stdout)]).toEqual([1, bad])
  })

  it('prunes what is older', async () => {
    const before: string[] = []
    const pruneAudit = recording(before, verdict)
    await play(['audit', 'prune', '--before', '2d', '--yes'], { keeper: { pruneAudit } })
    expect(before).toEqual(['2027-02-27T12:00:00.000Z'])
  })
})

describe('vault', () => {
  it('unlocks with a passphrase from standard input, without its line end', async () => {
    const given: (string | undefined)[] = []
    const keeper = {
      status: async () => STATUS,
      unlock: recording(given, { ...STATUS, locked: false }),
    }
    const passphrase = canary('passphrase')
    const argv = ['vault', 'unlock', '--passphrase-stdin']
    const { stdout } = await play(argv, { keeper, stdin: `${passphrase} \n` })
    expect([given, stdout]).toEqual([[`${passphrase} `], 'unlocked\n'])
  })

  it('does not wait for a passphrase that nobody can give', async () => {
    const { exit, stderr } = await play(['vault', 'unlock'], { keeper: { status: async () => STATUS } })
    expect(exit).toBe(2)
    expect(stderr).toContain('hint: add --passphrase-stdin')
  })

  it('needs no passphrase where the key lies elsewhere', async () => {
    const given: unknown[] = []
    const keeper = {
      status: async () => ({ ...STATUS, keySource: 'file' as const }),
      unlock: recording(given, STATUS),
    }
    await play(['vault', 'unlock'], { keeper })
    expect(given).toEqual([undefined])
  })

  it('has a new passphrase typed twice', async () => {
    const typed = [canary('one'), canary('two')]
    const secret = async () => typed.pop() ?? ''
    const { exit, stderr } = await play(['vault', 'rekey', '--to', 'passphrase'], { prompts: { secret } })
    expect([exit, stderr]).toEqual([2, expect.stringContaining('the two are not the same')])
  })

  it('names the program that wraps the key', async () => {
    const asked: RekeyRequest[] = []
    const rekey = recording(asked, STATUS)
    await play(['vault', 'rekey', '--to', 'command', '--command', '/bin/wrap'], { keeper: { rekey } })
    await play(['vault', 'rekey', '--to', 'command'], { keeper: { rekey } })
    expect(asked).toEqual([{ source: 'command', command: '/bin/wrap' }, { source: 'command' }])
  })

  it('shows how it is', async () => {
    const { stdout } = await play(['vault'], { keeper: { status: async () => STATUS } })
    expect(stdout).toContain('state        locked')
    expect(stdout).toContain('process      42, version 0.1.0, started 1 h ago')
  })

  it('erases only what was confirmed', async () => {
    const erased: string[] = []
    const eraseOwner = async (owner: string) => {
      erased.push(owner)
      return []
    }
    expect((await play(['vault', 'erase', 'me'], { keeper: { eraseOwner } })).exit).toBe(2)
    expect(erased).toEqual([])
    await play(['vault', 'erase', 'me', '--yes'], { keeper: { eraseOwner } })
    expect(erased).toEqual(['person:owner'])
  })
})

describe('vault export', () => {
  async function folder() {
    const path = await mkdtemp(join(tmpdir(), 'valetkey-'))
    onTestFinished(() => leave(path))
    return path
  }

  it('writes a file that only its owner reads', async () => {
    const file = join(await folder(), 'accounts.vk')
    const keeper = { export: async () => 'sealed' }
    const argv = ['vault', 'export', '--to', file, '--passphrase-stdin']
    const dies = { ...ACCOUNT, providerId: 'github', bucket: 'work', forwardOnly: false }
    const desk = { accounts: async () => [ACCOUNT, dies] }
    const { stdout, stderr } = await play(argv, { desk, keeper, stdin: canary('export') })
    expect(stdout).toBe(`exported to ${file}\n`)
    expect(stderr).toMatch(/^renewed in one place only: github\/work\n(.*\n)* {2}hint: /)
    expect([await readFile(file, 'utf8'), (await stat(file)).mode & 0o777]).toEqual(['sealed', 0o600])
  })

  it('says what has to be connected again wherever it is, and that there is nothing', async () => {
    const told = async (...accounts: readonly (typeof ACCOUNT)[]) => {
      const argv = ['vault', 'export', '--to', join(await folder(), 'accounts.vk'), '--passphrase-stdin']
      const desk = { accounts: async () => accounts }
      const keeper = { export: async () => 'sealed' }
      return (await play(argv, { desk, keeper, stdin: canary('export') })).stderr
    }
    const over = { ...ACCOUNT, providerId: 'github', status: 'needs-reauth' as const, forwardOnly: false }
    expect(await told(over)).toBe('to be connected again, wherever they are: github\n')
    expect(await told()).toBe('there are no accounts here: the file holds none\n')
  })

  it('overwrites nothing', async () => {
    const file = join(await folder(), 'accounts.vk')
    await writeFile(file, 'precious')
    const argv = ['vault', 'export', '--to', file, '--passphrase-stdin']
    const { exit, stderr } = await play(argv, {
      keeper: { export: async () => 'sealed' },
      stdin: canary('export'),
    })
    expect([exit, stderr]).toEqual([2, expect.stringContaining('exists already, and is left as it is')])
    expect(await readFile(file, 'utf8')).toBe('precious')
  })

  it('leaves no half-written file', async () => {
    const file = join(await folder(), 'accounts.vk')
    const failing = async () => {
      throw new ValetkeyError('locked', 'the vault is locked')
    }
    const argv = ['vault', 'export', '--to', file, '--passphrase-stdin']
    const { exit } = await play(argv, { keeper: { export: failing }, stdin: canary('export') })
    expect(exit).toBe(5)
    await expect(stat(file)).rejects.toThrow('ENOENT')
  })
})

describe('vault import', () => {
  const LINES: readonly Imported[] = [
    { address: 'openai', outcome: 'imported', why: null, renews: false },
    { address: 'github/work', outcome: 'imported', why: null, renews: true },
    { address: 'datadog', outcome: 'kept', why: 'it is connected here already', renews: true },
  ]

  async function exportFile(text = 'sealed') {
    const path = await mkdtemp(join(tmpdir(), 'valetkey-'))
    onTestFinished(() => leave(path))
    await writeFile(join(path, 'accounts.vk'), text)
    return join(path, 'accounts.vk')
  }

  it('says what became of each, and what is renewed in one place only from now on', async () => {
    const asked: unknown[] = []
    const taken = async (...all: unknown[]) => {
      asked.push(all)
      return LINES
    }
    const secret = canary('import')
    const argv = ['vault', 'import', await exportFile(), '--passphrase-stdin']
    const { exit, stdout, stderr } = await play(argv, { keeper: { import: taken }, stdin: `${secret}\n` })
    expect([exit, asked]).toEqual([0, [['sealed', secret, {}]]])
    expect(stdout).toBe('imported openai\nimported github/work\nkept datadog: it is connected here already\n')
    expect(stderr).toContain('hint: add --replace')
    expect(stderr).toContain('renewed in one place only: github/work\n')
  })

  it('has failed where one was refused, and says so in its code', async () => {
    const refused = { address: 'x', outcome: 'refused', why: 'no provider is called x here', renews: false }
    const argv = ['vault', 'import', await exportFile(), '--replace', '--passphrase-stdin', '--json']
    const asked: unknown[] = []
    const keeper = {
      import: async (_: string, __: string, options?: object) => {
        asked.push(options)
        return [...LINES, refused] as readonly Imported[]
      },
    }
    const { exit, stdout, stderr } = await play(argv, { keeper, stdin: canary('import') })
    expect([exit, stderr, asked]).toEqual([1, '', [{ replace: true }]])
    expect(JSON.parse(stdout)).toEqual([...LINES, refused])
  })

  it('asks for no passphrase of a file that cannot be read', async () => {
    const folder = dirname(await exportFile())
    for (const file of [folder, join(folder, 'missing')]) {
      const { exit, stderr } = await play(['vault', 'import', file], { prompts: {} })
      expect([exit, stderr]).toEqual([2, expect.stringContaining('cannot be read')])
    }
  })

  it('takes no passphrase but from a person or from standard input', async () => {
    const { exit, stderr } = await play(['vault', 'import', await exportFile()])
    expect([exit, stderr]).toEqual([2, expect.stringContaining('--passphrase-stdin')])
  })
})

describe('serve and open', () => {
  it('passes on what was wished', async () => {
    const wished: ServeOptions[] = []
    const serve = async (options: ServeOptions) => void wished.push(options)
    await play(['serve'], { hands: { serve } })
    await play(['serve', '--port', '0', '--no-page', '--leave-after', '15m', '--for', 'one'], {
      hands: { serve },
    })
    await play(['serve', '--json'], { hands: { serve } })
    expect(wished).toEqual([
      { page: true },
      { page: false, port: 0, leaveAfterMinutes: 15 },
      { page: true, json: true },
    ])
  })

  it('prints the link, also when nothing was said at all', async () => {
    expect(await play(['open'])).toEqual({ exit: 0, stdout: 'http://127.0.0.1:8200/#code\n', stderr: '' })
    expect((await play([])).stdout).toBe('http://127.0.0.1:8200/#code\n')
  })

  it('tells a person how long the link is good', async () => {
    const { stderr } = await play(['open', '--no-browser'], { prompts: {} })
    expect(stderr).toBe('the link works once, and for two minutes\n')
  })
})

describe('leases', () => {
  const LEASE: Lease = {
    ...lent(canary('token')).lease,
    caller: 'app:reports',
    purpose: '\u001b[2Jthe report',
  }

  it('shows who has what, what for, since when, how often, when last, until when', async () => {
    const leases = async () => [
      LEASE,
      { ...LEASE, verb: 'reveal' as const, until: null, endsBy: 'revocation' as const },
    ]
    const { stdout } = await play(['leases'], { desk: { leases } })
    expect(stdout.split('\n')).toEqual([
      'id       caller       address  what    for         since  times  last  ends',
      'lease-1  app:reports  openai   lend    the report  now    1      now   in 10 min, by expiry',
      'lease-1  app:reports  openai   reveal  the report  now    1      now   by revocation',
      '',
    ])
  })

  it('shows those that are over, when and by what', async () => {
    const asked: (LeaseQuery | undefined)[] = []
    const endedAt = NOW.toISOString()
    const leases = recording(asked, [
      { ...LEASE, endedAt },
      { ...LEASE, endedAt, endsBy: 'ended' as const },
    ])
    const { stdout } = await play(['leases', '--ended'], { desk: { leases } })
    expect(asked).toEqual([{ ended: true }])
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/).at(-1))).toEqual([
      'ends',
      'ended now, by expiry',
      'ended now',
      '',
    ])
    const none = { desk: { leases: async () => [] } }
    expect((await play(['leases', '--ended'], none)).stderr).toBe('nothing ended within the last day\n')
  })

  it('says what was cut off, what lives on, and how it is kept from coming back', async () => {
    const how = 'it lives on at the provider; to end it before: valetkey revoke openai'
    const ended = { lease: LEASE, lines: [{ what: 'access token', state: 'alive' as const, how }] }
    const desk = {
      endLease: async () => ended,
      bindings: async () => [{ ...BINDING, accountId: LEASE.accountId }],
    }
    expect(await play(['leases', 'end', 'lease-1'], { desk })).toEqual({
      exit: 0,
      stdout: `ended lease-1\n  still alive: access token, ${how}\n`,
      stderr: 'to keep it from coming back: valetkey unbind bind-1\n',
    })
    const { stdout } = await play(['leases', 'end', 'lease-1', '--json'], { desk })
    expect(JSON.parse(stdout)).toEqual(ended)
  })
})

describe('usage', () => {
  const USAGE = { accountId: 'a1', address: 'openai', caller: 'app:reports', day: '2027-03-01' }

  it('asks for what was asked, and counts', async () => {
    const asked: (UsageQuery | undefined)[] = []
    const usage = recording(asked, [{ ...USAGE, lends: 2, forwards: 10, reveals: 0 }])
    const argv = ['usage', 'openai', '--caller', 'app:reports', '--days', '7']
    expect((await play(argv, { desk: { usage } })).stdout).toBe(
      [
        'day         address  caller       forwards  lends  reveals',
        '2027-03-01  openai   app:reports  10        2      0',
        '',
      ].join('\n'),
    )
    await play(['usage'], { desk: { usage } })
    expect(asked).toEqual([{ address: 'openai', caller: 'app:reports', days: 7 }, { days: 30 }])
  })
})

describe('what a provider refused', () => {
  it('is printed with what came of renewing the access', async () => {
    const headers = [['valetkey-retry', 'refused-again']] as const
    const forward = async () => ({ status: 401, headers, body: null })
    const { exit, stderr } = await play(['forward', 'github', 'GET', '/user'], { desk: { forward } })
    expect([exit, stderr]).toEqual([
      1,
      '! upstream answered 401\n  hint: the access was renewed for this, and refused again\n',
    ])
  })

  it('says how much less than all it wishes to be lent', async () => {
    const asked: unknown[] = []
    const lend = recording(asked, lent('t'))
    const wish = ['--repo', 'acme/web', '--repo', 'acme/api', '--scope', 'contents:read', '--audience', 'ci']
    await play(['lend', 'github-app', ...wish], { desk: { lend } })
    expect(asked).toEqual([
      {
        address: 'github-app',
        scopes: ['contents:read'],
        audience: 'ci',
        repositories: ['acme/web', 'acme/api'],
      },
    ])
  })

  it('is read from standard input, to be lent another', async () => {
    const asked: LendRequest[] = []
    const [dead, fresh] = [canary('dead'), canary('fresh')]
    const lend = recording(asked, lent(fresh))
    const { stdout } = await play(['lend', 'github', '--refused-stdin'], {
      desk: { lend },
      stdin: `${dead}\n`,
    })
    expect(stdout).toBe(`${fresh}\n`)
    expect(asked).toEqual([{ address: 'github', refused: dead }])
  })
})
