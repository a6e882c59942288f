import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type AuditQuery,
  type BindRequest,
  type ForwardAnswer,
  type ForwardRequest,
  type RekeyRequest,
  ValetkeyError,
  type VaultStatus,
} from '#client'
import { canary } from '../../testing/canary.ts'
import type { ServeOptions } from './hands.ts'
import type { Question } from './prompts.ts'
import { lent, NOW, play, recording } from './test-stage.ts'

const STATUS: VaultStatus = {
  id: 'vault-1',
  locked: true,
  keySource: 'passphrase',
  engine: 'sqlite',
  home: '/home/ada',
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
    lines: [{ what: 'API key', died: false, how: 'only you can end it, at https://example.com' }],
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

  it('asks first, and does nothing on a no or where nobody can be asked', async () => {
    const asked: Question[] = []
    const confirm = recording(asked, false)
    expect(await play(['revoke', 'openai'], { prompts: { confirm } })).toMatchObject({ exit: 1, stdout: '' })
    expect(asked).toEqual([{ message: 'end openai for good, with all its leases and bindings?' }])
    const { exit, stderr } = await play(['revoke', 'openai'])
    expect([exit, stderr]).toEqual([2, expect.stringContaining('add --yes')])
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
        asks: 'never',
        until: '2027-03-01T13:00:00.000Z',
      },
    ])
    expect(stdout).toBe('bind-1\n')
    expect(stderr).toBe('app:reports may lend, forward github/work; this ends in 1 h\n')
  })

  it('knows who is meant by me', async () => {
    const asked: BindRequest[] = []
    const bind = recording(asked, BINDING)
    await play(['bind', 'me', 'openai'], { desk: { bind } })
    expect(asked).toEqual([{ caller: 'person:owner', address: 'openai', may: ['forward'], asks: 'never' }])
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
    expect(asked).toEqual([{ source: 'command', command: '/bin/wrap' }])
  })

  it('shows how it is', async () => {
    const { stdout } = await play(['vault'], { keeper: { status: async () => STATUS } })
    expect(stdout).toContain('state        locked')
    expect(stdout).toContain('process      42, version 0.1.0, started 1 h ago')
  })

  it('erases only what was confirmed', async () => {
    const erased: string[] = []
    const eraseOwner = async (owner: string) => void erased.push(owner)
    expect((await play(['vault', 'erase', 'me'], { keeper: { eraseOwner } })).exit).toBe(2)
    expect(erased).toEqual([])
    await play(['vault', 'erase', 'me', '--yes'], { keeper: { eraseOwner } })
    expect(erased).toEqual(['person:owner'])
  })
})

describe('vault export', () => {
  async function folder() {
    const path = await mkdtemp(join(tmpdir(), 'valetkey-'))
    onTestFinished(() => rm(path, { recursive: true }))
    return path
  }

  it('writes a file that only its owner reads', async () => {
    const file = join(await folder(), 'accounts.vk')
    const keeper = { export: async () => 'sealed' }
    const argv = ['vault', 'export', '--to', file, '--passphrase-stdin']
    const { stdout } = await play(argv, { keeper, stdin: canary('export') })
    expect(stdout).toBe(`exported to ${file}\n`)
    expect([await readFile(file, 'utf8'), (await stat(file)).mode & 0o777]).toEqual(['sealed', 0o600])
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

describe('serve and open', () => {
  it('passes on what was wished', async () => {
    const wished: ServeOptions[] = []
    const serve = async (options: ServeOptions) => void wished.push(options)
    await play(['serve'], { hands: { serve } })
    await play(['serve', '--port', '0', '--no-page', '--leave-after', '15m', '--for', 'one'], {
      hands: { serve },
    })
    expect(wished).toEqual([{ page: true }, { page: false, port: 0, leaveAfterMinutes: 15 }])
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
