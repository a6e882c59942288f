import { PassThrough, Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { ERRORS, isErrorCode, ValetkeyError } from '#client'
import { canary } from '../../testing/canary.ts'
import { CONTENTS } from './contents.ts'
import { EXIT } from './exit.ts'
import { runCli } from './main.ts'
import { ACCOUNT, lent, NOW, OPENAI, play, recording } from './test-stage.ts'

function refusing(code: string, message: string, hint?: string) {
  if (!isErrorCode(code)) throw new Error(`${code} is no code`)
  return async () => {
    throw new ValetkeyError(code, message, hint === undefined ? {} : { hint })
  }
}

describe('what is said, and where', () => {
  it('prints a lent token alone on standard output', async () => {
    const token = canary('lent')
    const { stdout, stderr, exit } = await play(['lend', 'github'], {
      desk: { lend: async () => lent(token) },
    })
    expect([stdout, stderr, exit]).toEqual([`${token}\n`, '', 0])
  })

  it('answers to the older names of lend and forward', async () => {
    const desk = {
      lend: async () => lent('t'),
      forward: async () => ({ status: 200, headers: [], body: new Response('hello').body }),
    }
    expect((await play(['token', 'github'], { desk })).stdout).toBe('t\n')
    expect((await play(['request', 'github', 'get', '/user'], { desk })).stdout).toBe('hello')
  })

  it('prints the whole of it as one document for programs', async () => {
    const { stdout } = await play(['--json', 'lend', 'github'], { desk: { lend: async () => lent('t') } })
    expect(JSON.parse(stdout)).toEqual(lent('t'))
  })

  it.each([[['--version', '--json']], [['--json', '-V']], [['version', '--json']]])(
    'tells a program the version: %j',
    async (argv) => {
      const { stdout, exit } = await play(argv)
      expect([JSON.parse(stdout), exit]).toEqual([{ version: '0.1.0' }, 0])
    },
  )

  it('tells a program how it is used, and how a command is', async () => {
    for (const argv of [
      ['help', '--json'],
      ['--help', '--json'],
      ['--json', '--help'],
    ]) {
      const { stdout, exit } = await play(argv)
      expect(exit).toBe(0)
      const { name, commands, options } = JSON.parse(stdout)
      expect(name).toBe('valetkey')
      expect(commands.map((one: { name: string }) => one.name)).toEqual(CONTENTS.map((one) => one.name))
      expect(options.map((one: { flags: string }) => one.flags)).toContain('--json')
    }
    for (const argv of [
      ['help', 'lend', '--json'],
      ['lend', '--help', '--json'],
    ]) {
      const { name, usage, aliases, arguments: words } = JSON.parse((await play(argv)).stdout)
      expect([name, aliases]).toEqual(['lend', ['token']])
      expect(usage).toMatch(/^valetkey lend.* <address>$/)
      expect(words).toMatchObject([{ name: 'address', required: true }])
    }
  })

  it('aligns lists, and tells times as a person would', async () => {
    const work = { ...ACCOUNT, bucket: 'work', displayName: '株式会社', forwardOnly: false }
    const ends = { ...work, tokenExpiresAt: '2027-03-01T12:12:00Z', lastUsedAt: null }
    const { stdout } = await play(['accounts'], { desk: { accounts: async () => [ACCOUNT, ends] } })
    expect(stdout).toBe(
      [
        'address      state      account   access ends  last used   note',
        'openai       connected  Ada       never        12 min ago  forward only',
        'openai/work  connected  株式会社  in 12 min    never',
        '',
      ].join('\n'),
    )
  })

  it('says of an account where its key is read', async () => {
    const elsewhere = { ...ACCOUNT, references: { key: 'op://Private/OpenAI/key' } }
    const { stdout } = await play(['accounts'], { desk: { accounts: async () => [elsewhere] } })
    expect(stdout).toContain('forward only, key is read from op://Private/OpenAI/key')
  })

  it('keeps lists empty on standard output where there is nothing, and says what to do', async () => {
    const { stdout, stderr, exit } = await play(['accounts'], { desk: { accounts: async () => [] } })
    expect([stdout, stderr, exit]).toEqual(['', 'no accounts yet\n  hint: valetkey connect\n', 0])
  })

  it('takes control characters out of what a provider says', async () => {
    const evil = { ...ACCOUNT, displayName: 'Ada\u001b[2J\u009b2J\u202e\n! locked' }
    const { stdout } = await play(['accounts'], { desk: { accounts: async () => [evil] } })
    expect(stdout).toContain('Ada2J! locked')
    const { stdout: json } = await play(['accounts', '--json'], { desk: { accounts: async () => [evil] } })
    expect(json).toMatch(/^[\x20-\x7e\n]*$/)
    expect(JSON.parse(json)).toEqual([evil])
  })

  it('says nothing and leaves in peace when nobody reads any more', async () => {
    const deaf = new Writable({
      write: (_chunk, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
    })
    const stderr = new PassThrough()
    const exit = await runCli({
      argv: ['providers'],
      io: { stdin: new PassThrough(), stdout: deaf, stderr, interactive: false, colour: false },
      env: {},
      version: '0.1.0',
      now: () => NOW,
      reach: async () => ({ desk: { providers: async () => [OPENAI] } as never, keeper: {} as never }),
      serve: async () => {},
      bridge: async () => {},
      serveTools: async () => {},
      demo: () => Promise.reject(new Error('no demo is played here')),
      openLink: async () => '',
      openInBrowser: async () => {},
    })
    expect([exit, stderr.read()]).toEqual([0, null])
  })

  it('colours only where it is wanted', async () => {
    const desk = { lend: refusing('locked', 'the vault is locked') }
    const colourful = async (env: Record<string, string>) => {
      const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() }
      const io = { ...streams, interactive: false, colour: true }
      await play(['lend', 'github'], { desk, env, hands: { io } })
      return String(streams.stderr.read())
    }
    expect(await colourful({})).toContain('\u001b[31m!\u001b[39m locked')
    expect(await colourful({ NO_COLOR: '1' })).toBe('! locked: the vault is locked\n')
  })
})

describe('a refusal', () => {
  it('is one line and a hint on standard error, with its exit code', async () => {
    const lend = refusing('not-connected', 'no account at stripe for you', 'valetkey connect stripe')
    const { stdout, stderr, exit } = await play(['lend', 'stripe'], { desk: { lend } })
    expect(stdout).toBe('')
    expect(stderr).toBe('! not-connected: no account at stripe for you\n  hint: valetkey connect stripe\n')
    expect(exit).toBe(3)
  })

  it('is a document on standard error where one is wanted', async () => {
    const lend = refusing('locked', 'the vault is locked', 'valetkey vault unlock')
    const { stdout, stderr, exit } = await play(['lend', 'stripe', '--json'], { desk: { lend } })
    expect([stdout, exit]).toEqual(['', 5])
    expect(JSON.parse(stderr)).toEqual({
      error: {
        code: 'locked',
        message: 'the vault is locked',
        hint: 'valetkey vault unlock',
        reaction: 'ask-the-person',
      },
    })
  })

  it('says what helps in general where nothing more exact is known, and when', async () => {
    const busy = async () => {
      throw new ValetkeyError('rate-limited', 'too many requests', { retryAfter: 7 })
    }
    const { stderr } = await play(['lend', 'stripe'], { desk: { lend: busy } })
    expect(stderr).toBe('! rate-limited: too many requests\n  hint: try it again in 7 seconds\n')
    const told = await play(['lend', 'stripe', '--json'], { desk: { lend: busy } })
    expect(JSON.parse(told.stderr)).toMatchObject({ error: { reaction: 'try-again', retryAfter: 7 } })
    const gone = async () => {
      throw new ValetkeyError('broker-gone', 'nobody answers')
    }
    const again = await play(['lend', 'stripe'], { desk: { lend: gone } })
    expect(again.stderr).toContain('hint: try it again\n')
  })

  it('of what a person turned away from is no error', async () => {
    const lend = refusing('cancelled', 'cancelled')
    expect(await play(['lend', 'stripe'], { desk: { lend } })).toEqual({
      exit: 1,
      stdout: '',
      stderr: 'cancelled\n',
    })
  })

  it('has an exit code for every code, and the documented ones', () => {
    expect(Object.keys(EXIT).sort()).toEqual(Object.keys(ERRORS).sort())
    const documented = { usage: 2, 'unknown-provider': 2, 'not-connected': 3, 'needs-reauth': 3 }
    expect(EXIT).toMatchObject({ ...documented, 'not-allowed': 4, 'forward-only': 4, locked: 5 })
  })

  it('stays on one line whatever a provider said', async () => {
    const lend = refusing('bad-answer', 'it said\n! locked: go away', 'try\nagain')
    const { stderr } = await play(['lend', 'stripe'], { desk: { lend } })
    expect(stderr).toBe('! bad-answer: it said ! locked: go away\n  hint: try again\n')
  })

  it('[security 20.1] of what nobody foresaw shows neither a stack nor a secret', async () => {
    const secret = `sk-${canary('stack')}`
    const lend = async () => {
      throw new TypeError(`cannot read ${secret}`)
    }
    const told = await play(['lend', 'stripe'], { desk: { lend } })
    expect(told.stderr).toBe(
      '! internal-error: valetkey made a mistake\n  hint: run it again with VALETKEY_DEBUG=1 to see where\n',
    )
    expect(told.exit).toBe(1)
    const debugged = await play(['lend', 'stripe'], { desk: { lend }, env: { VALETKEY_DEBUG: '1' } })
    expect(debugged.stderr).toContain('TypeError: cannot read [secret]')
    expect(debugged.stderr).toContain('main.test.ts')
    expect(debugged.stderr).not.toContain(secret)
  })
})

describe('what cannot be understood', () => {
  const cases: readonly [string, string, string][] = [
    ['lnd github', 'there is no command "lnd"', 'did you mean lend?'],
    ['lend', 'address is missing', 'valetkey lend <address>; --help tells more'],
    ['lend github --jsn', 'there is no option --jsn', 'did you mean --json?'],
    ['lend github gitlab', 'there are more words than this command takes', 'valetkey lend <address>'],
    ['lend git/hub/x', '"git/hub/x" is not an address', 'such as github/work'],
    ['lend github --min-validity soon', '"soon" is not a number of seconds', 'a whole number'],
    ['vault lok', 'vault has no command "lok"', 'did you mean lock?'],
    ['audit list --verb lnd', '"lnd" is not a verb of the record', 'did you mean lend?'],
    ['audit list --since yesterday', '"yesterday" is not a length of time', '15m'],
    ['audit prune', '--before <time> is missing', 'valetkey audit prune'],
    ['bind codex github', '"codex" is not a caller', 'app:codex'],
    ['bind app:codex github --may borrow', '"borrow" is not something that a binding may', 'one of lend'],
    ['bind app:codex github --asks nevr', '"nevr" is not a time to ask', 'did you mean never?'],
    ['serve --port 70000', '"70000" is not a port', 'from 0 to 65535'],
    ['serve --for everybody', '"everybody" is not whom this valetkey can serve', 'one'],
    ['vault rekey --to keychain', '"keychain" is not a place for the key', 'one of passphrase'],
    ['forward github GET user', '"user" is not a path', 'begins with a slash'],
    ['forward github G=T /user', '"G=T" is not a method', 'GET'],
    ['connect openai --field key', '--field takes name=value', '--field site='],
    ['--as codex accounts', '"codex" is not a caller', 'app:codex'],
  ]
  for (const [line, message, hint] of cases) {
    it(`is told for: ${line}`, async () => {
      const { stdout, stderr, exit } = await play(line.split(' '))
      expect([stdout, exit]).toEqual(['', 2])
      expect(stderr).toMatch(/^! usage: .*\n {2}hint: .*\n$/)
      expect(stderr).toContain(message)
      expect(stderr).toContain(hint)
    })
  }

  it('names the nearest provider', async () => {
    const desk = { providers: async () => [OPENAI], connect: refusing('unknown-provider', 'none') }
    for (const argv of [
      ['providers', 'opnai'],
      ['connect', 'opnai'],
    ]) {
      const { stderr, exit } = await play(argv, { desk })
      expect(stderr).toContain('! unknown-provider: no provider is called "opnai"')
      expect(stderr).toContain('did you mean openai?')
      expect(exit).toBe(2)
    }
  })
})

describe('a secret on the command line', () => {
  const key = `sk-proj-${canary('argv')}`
  const hex = canary('hex').replace(/^CANARY\w*?(?=[0-9a-f]{24}$)/, '')
  const lines = [
    ['connect', key],
    ['connect', 'openai', `--key=${key}`],
    ['connect', 'openai', '--field', `key=${key}`],
    ['connect', 'datadog', '--var', `key=${hex}ab12cd34`],
    ['connect', `${hex}ab12cd34`],
    ['connect', canary('plain')],
    ['lend', key],
    ['forward', 'openai', 'GET', '/v1/models', '-H', `x-thing: Bearer ${key}`],
    ['bind', key, 'openai'],
    [key],
  ]
  for (const [at, line] of lines.entries()) {
    it(`[security 20.1] is refused and never repeated, way ${at + 1}`, async () => {
      const { stdout, stderr, exit } = await play(line)
      expect(exit).toBe(2)
      expect(stdout + stderr).not.toContain(line.at(-1)?.slice(-16))
      expect(stderr).toMatch(/^! usage: /)
    })
  }

  it('[security 20.1] is told where it belongs instead', async () => {
    const { stderr } = await play(['connect', key])
    expect(stderr).toContain('hint: give it on standard input, such as: valetkey connect --key-stdin')
  })

  it('is not seen in what people write by hand', async () => {
    const asked: unknown[] = []
    const desk = { lend: recording(asked, lent('t')) }
    for (const address of ['azure-openai/production-eu-west-1', 'github/2027-clients.example'])
      expect((await play(['lend', address], { desk })).exit).toBe(0)
    expect(asked).toHaveLength(2)
  })
})

describe('help', () => {
  it('lists every command', async () => {
    const { stdout, exit } = await play(['--help'])
    for (const { name } of CONTENTS) expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'))
    expect(exit).toBe(0)
  })

  for (const { name } of CONTENTS.filter((entry) => entry.name !== 'help')) {
    it(`shows two examples for ${name}`, async () => {
      for (const argv of [
        [name, '--help'],
        ['help', name],
      ]) {
        const { stdout, stderr, exit } = await play(argv)
        expect(stdout.match(/^ {2}\$ valetkey /gm)).toHaveLength(2)
        expect([stderr, exit]).toEqual(['', 0])
      }
    })
  }

  it('is there for the commands inside a command', async () => {
    const { stdout } = await play(['help', 'vault', 'rekey'])
    expect(stdout).toContain('usage: valetkey vault rekey')
    expect(stdout.match(/^ {2}\$ valetkey /gm)).toHaveLength(2)
  })
})

it('opens no page for a lesser caller', async () => {
  const { exit, stdout } = await play(['open', '--as', 'app:reports'])
  expect([exit, stdout]).toEqual([4, ''])
})

it('reaches the broker as the lesser caller that was named', async () => {
  const reached: unknown[] = []
  const desk = { accounts: async () => [] } as never
  const reach = recording(reached, { desk, keeper: {} as never })
  await play(['accounts', '--as', 'app:reports'], { hands: { reach } })
  await play(['--as', 'app:reports', 'accounts'], { hands: { reach } })
  await play(['accounts'], { hands: { reach } })
  expect(reached).toEqual([{ as: 'app:reports' }, { as: 'app:reports' }, {}])
})
