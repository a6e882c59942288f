import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AuditEntry } from '../../src/index.ts'
import { canary } from '../../src/testing/canary.ts'
import { type ListeningStandIn, standIn } from '../../src/testing/stand-in.ts'
import { BIN, configure, ended, firstLine, type Ran, type RealHome, realHome, until } from '../real.ts'

const key = `sk-proj-${canary('openai')}`

let provider: ListeningStandIn
/** A home with one account in it; it is copied and never run in. */
let good: RealHome
let config: object

beforeAll(async () => {
  provider = await standIn({ 'GET /v1/models': { body: { data: [] } } }).listen()
  config = { origins: { openai: provider.origin } }
  good = await realHome(config)
  expect(await good.run(['connect', 'openai', '--key-stdin'], key)).toMatchObject({ code: 0 })
  await leave(good)
})

afterAll(async () => {
  await good.close()
  await provider.close()
})

/** Ends the broker of a home as a person would, and waits until the vault is closed. */
async function leave(home: RealHome): Promise<void> {
  const pid = await home.holder()
  if (pid === undefined) return
  process.kill(pid, 'SIGTERM')
  await until(
    async () =>
      (await home.holder()) === undefined &&
      !(await readdir(join(home.home, 'data'))).includes('vault.db-wal'),
  )
}

async function copyOfGood(env: NodeJS.ProcessEnv = {}): Promise<RealHome> {
  const home = await realHome(config, env)
  await cp(good.home, home.home, { recursive: true, filter: (path) => !path.includes('/run') })
  return home
}

/** One line that says what is wrong, one that says what to do, nothing else, and nothing on stdout. */
function expectRefusal({ code, stdout, stderr }: Ran, exit: number, word: string): void {
  expect(stderr).toMatch(new RegExp(`^! ${word}: [^\n]+\n  hint: [^\n]+\n$`))
  expect({ code, stdout }).toEqual({ code: exit, stdout: '' })
}

/** What lies in the folders that matter, by name and content. */
async function bytesOf({ home }: RealHome): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const folder of ['config', 'data']) {
    const entries = await readdir(join(home, folder), { recursive: true, withFileTypes: true }).catch(
      () => [],
    )
    for (const entry of entries.filter((one) => one.isFile())) {
      const path = join(entry.parentPath, entry.name)
      found[path] = createHash('sha256')
        .update(await readFile(path))
        .digest('hex')
    }
  }
  return found
}

describe('a command that cannot be understood', () => {
  let home: RealHome
  beforeAll(async () => {
    home = await copyOfGood()
  })
  afterAll(() => home.close())

  it.each([
    ['an unknown command', 'conect openai', 2, 'usage'],
    ['an unknown option', 'accounts --nosuch', 2, 'usage'],
    ['an unknown provider', 'connect nosuch --key-stdin', 2, 'unknown-provider'],
    ['an unknown flow', 'connect openai/other --flow saml --key-stdin', 2, 'unknown-flow'],
    ['an unknown field', 'connect openai/other --field nosuch=1 --key-stdin', 2, '(usage|invalid-request)'],
    ['an unknown bucket', 'forward openai/nosuch GET /v1/models', 3, 'not-connected'],
    ['an account of nobody', 'forward openai GET /v1/models --as app:stranger', 3, 'not-connected'],
    ['what only the owner may', 'vault lock --as app:stranger', 4, 'not-allowed'],
    ['what is never handed out', 'lend openai', 4, 'forward-only'],
    ['a foreign host', 'forward openai GET https://evil.test/', 4, 'host-not-allowed'],
  ])('%s', async (_, words, exit, word) => {
    expectRefusal(await home.run(words.split(' '), key), exit, word)
  })

  it('leaves everything as it was', async () => {
    expect(await (await home.ask('/api/accounts')).json()).toHaveLength(1)
    expect(await (await home.ask('/api/bindings')).json()).toEqual([])
    expect(await (await home.ask('/api/vault')).json()).toMatchObject({ locked: false })
    expect(await home.run(['audit', 'verify'])).toMatchObject({ code: 0 })
  })
})

describe('a request that cannot be understood, at the socket', () => {
  let home: RealHome
  let pid: number | undefined
  beforeAll(async () => {
    home = await copyOfGood()
    home.start(['serve', '--no-page'])
    pid = await until(home.holder)
  })
  afterAll(() => home.close())

  /** Bytes as they are, and the answer as it comes. */
  async function raw(text: string): Promise<string> {
    const socket = connect(join(home.home, 'run', 'valetkey.sock'))
    let heard = ''
    // It may be cut before all of it was sent.
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        heard += chunk
      })
    socket.end(text)
    await until(() => socket.destroyed)
    return heard
  }

  const post = (body: string, headers: Record<string, string> = {}) =>
    home.ask('/api/lend', { method: 'POST', body, headers })

  it.each([
    ['malformed JSON', '{"address":', 400, 'invalid-request'],
    ['JSON of another shape', '[]', 400, 'invalid-request'],
    ['a field that nobody knows', '{"address":"openai","nosuch":1}', 400, 'invalid-request'],
    ['JSON nested a thousand times', `${'['.repeat(1000)}${']'.repeat(1000)}`, 400, 'invalid-request'],
    ['no JSON at all', '', 400, 'invalid-request'],
    ['a body of 65 KiB', JSON.stringify({ address: 'x'.repeat(65 * 1024) }), 413, 'too-large'],
  ])('%s', async (_, body, status, code) => {
    const answer = await post(body)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    const told = (await answer.json()) as Record<string, unknown>
    expect(told).toMatchObject({ status, code })
    expect(JSON.stringify(told)).not.toMatch(/SyntaxError|ZodError|node:|\.ts\b/)
  })

  it('a body that is none of ours', async () => {
    expect((await post('address=openai', { 'content-type': 'text/plain' })).status).toBe(415)
  })

  it('a body that says it is small and is not', async () => {
    const head = 'POST /api/lend HTTP/1.1\r\nhost: valetkey\r\ncontent-type: application/json\r\n'
    const chunk = `4000\r\n${' '.repeat(0x4000)}\r\n`
    expect(await raw(`${head}transfer-encoding: chunked\r\n\r\n${chunk.repeat(5)}0\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 413 /,
    )
    expect(await raw(`${head}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}`)).toMatch(
      /^HTTP\/1.1 400 /,
    )
  })

  it('malformed and oversize headers', async () => {
    expect(await raw('GET /api/accounts HTTP/1.1\r\nhost: valetkey\r\nno header\r\n\r\n')).toMatch(
      /^HTTP\/1.1 400 /,
    )
    expect(await raw('nonsense\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /)
    const long = `GET / HTTP/1.1\r\nhost: valetkey\r\nx-long: ${'x'.repeat(100_000)}\r\n\r\n`
    expect(await raw(long)).toMatch(/^HTTP\/1.1 431 /)
    const as = await home.ask('/api/accounts', { headers: { 'valetkey-as': 'not a caller' } })
    expect(await as.json()).toMatchObject({ status: 400, code: 'invalid-request' })
  })

  it('an address or a method that is not there', async () => {
    expect((await home.ask('/api/nosuch')).status).toBe(404)
    expect((await home.ask('/api/flows/nosuch')).status).toBe(404)
    expect((await home.ask('/api/accounts', { method: 'PUT' })).status).toBe(405)
    expect((await home.ask('/api/audit?limit=many')).status).toBe(400)
  })

  it('and the broker is none the worse for it', async () => {
    expect(await home.holder()).toBe(pid)
    expect(await home.run(['forward', 'openai', 'GET', '/v1/models'])).toMatchObject({ code: 0 })
  })
})

describe('a second start', () => {
  it('on the same port is told so, and so is one on the same vault', async () => {
    const [home, other] = await Promise.all([realHome(), realHome()])
    const { port } = new URL(await firstLine(home.start(['serve', '--port', '0'])))
    expectRefusal(await other.run(['serve', '--port', port]), 1, 'port-taken')
    expect(await other.holder()).toBeUndefined()
    expectRefusal(await home.run(['serve', '--port', port]), 1, 'held')
    expect(await home.holder()).toBeDefined()
    await Promise.all([home.close(), other.close()])
  })
})

describe('a configuration that cannot be used', () => {
  const file = (home: RealHome) => join(home.home, 'config', 'config.json')

  it.each<[string, (home: RealHome) => Promise<void>, string]>([
    ['is not JSON', (home) => writeFile(file(home), '{ "origins": '), 'config-invalid'],
    ['has a field that nobody knows', (home) => configure(home.home, { prot: 1 }), 'config-invalid'],
    ['has a value that makes no sense', (home) => configure(home.home, { port: 'soon' }), 'config-invalid'],
    ['names a port that no browser opens', (home) => configure(home.home, { port: 6000 }), 'config-invalid'],
    ['could be written by others', (home) => chmod(file(home), 0o666), 'unsafe-folder'],
    ['is a folder', (home) => rm(file(home)).then(() => mkdir(file(home)).then(() => {})), 'unsafe-folder'],
  ])('%s', async (_, spoil, word) => {
    const home = await copyOfGood()
    await spoil(home)
    const before = await bytesOf(home)
    expectRefusal(await home.run(['serve', '--no-page']), 1, word)
    expect(await bytesOf(home)).toEqual(before)
    await home.close()
  })
})

describe('a vault that cannot be opened', () => {
  const vault = (home: RealHome) => join(home.home, 'data', 'vault.db')
  const keyFile = async (home: RealHome) => {
    const names = await readdir(join(home.home, 'config', 'keys'))
    return join(home.home, 'config', 'keys', names.find((name) => name.startsWith('master-')) ?? '')
  }

  function inTheFuture(home: RealHome): void {
    const database = new DatabaseSync(vault(home))
    database.prepare('insert into kysely_migration values (?, ?)').run('9999-unheard-of', '2999-01-01')
    database.close()
  }

  function notOurs(home: RealHome): void {
    const database = new DatabaseSync(vault(home))
    database.exec('pragma application_id = 1; create table theirs (x)')
    database.close()
  }

  it.each<[string, (home: RealHome) => unknown, number, string]>([
    ['its key file is gone', async (home) => rm(await keyFile(home)), 5, 'wrong-key'],
    [
      'its key file is another’s',
      async (home) => writeFile(await keyFile(home), `${'A'.repeat(43)}\n`),
      5,
      'wrong-key',
    ],
    ['its key file is no key', async (home) => writeFile(await keyFile(home), 'hello\n'), 5, 'wrong-key'],
    ['its key file is open to others', async (home) => chmod(await keyFile(home), 0o644), 1, 'unsafe-folder'],
    ['it was written by a newer one', inTheFuture, 1, 'newer-schema'],
    ['it was cut short', (home) => truncate(vault(home), 40_960), 1, 'vault-unreadable'],
    ['it was cut in its first page', (home) => truncate(vault(home), 50), 1, 'vault-unreadable'],
    ['it is empty', (home) => truncate(vault(home), 0), 1, 'vault-unreadable'],
    ['it is a text', (home) => writeFile(vault(home), 'dear diary\n'.repeat(1000)), 1, 'vault-unreadable'],
    ['it is a database of somebody else', notOurs, 1, 'vault-unreadable'],
    ['it is a folder', (home) => rm(vault(home)).then(() => mkdir(vault(home))), 1, 'vault-unreadable'],
  ])('%s', async (_, spoil, exit, word) => {
    const home = await copyOfGood()
    await spoil(home)
    const before = await bytesOf(home)
    expectRefusal(await home.run(['serve', '--no-page']), exit, word)
    expect(await bytesOf(home)).toEqual(before)
    await home.close()
  })

  it('is told of at any command, and opens again when what was wrong is put right', async () => {
    const home = await copyOfGood()
    const path = await keyFile(home)
    const bytes = await readFile(path)
    await rm(path)
    const before = await bytesOf(home)
    expectRefusal(await home.run(['connect', 'openai/new', '--key-stdin'], key), 5, 'wrong-key')
    expect(await bytesOf(home)).toEqual(before)
    expect(await home.holder()).toBeUndefined()
    await writeFile(path, bytes, { mode: 0o600 })
    expect(await home.run(['forward', 'openai', 'GET', '/v1/models'])).toMatchObject({ code: 0 })
    await home.close()
  })
})

describe('a vault under a passphrase', () => {
  it('stays locked without it, is told the wrong one, and opens with the right one', async () => {
    const passphrase = canary('passphrase')
    const home = await realHome({ ...config, keySource: 'passphrase' })
    const told = { VALETKEY_PASSPHRASE: passphrase }
    expect(await home.run(['connect', 'openai', '--key-stdin'], key, told)).toMatchObject({ code: 0 })
    await leave(home)

    const locked = await home.run(['forward', 'openai', 'GET', '/v1/models'])
    expectRefusal(locked, 5, 'locked')
    expect(locked.stderr).toContain('hint: valetkey vault unlock')
    const unlock = (given: string) => home.run(['vault', 'unlock', '--passphrase-stdin'], `${given}\n`)
    expectRefusal(await unlock(canary('mistyped')), 5, 'wrong-key')
    expect((await home.ask('/api/accounts')).status).toBe(423)
    expect(await unlock(passphrase)).toMatchObject({ code: 0, stdout: 'unlocked\n' })
    expect((await home.ask('/forward/openai/default/v1/models')).status).toBe(200)
    await leave(home)

    const wrong = { VALETKEY_PASSPHRASE: canary('otherpassphrase') }
    expectRefusal(await home.run(['accounts'], '', wrong), 5, 'wrong-key')
    await home.close()
  })
})

describe('ctrl-c while connecting', () => {
  it('ends it while the key is awaited, and while the provider is asked; nothing stays behind', async () => {
    const [asked, letGo] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const answer = async () => {
      asked.resolve()
      await letGo.promise
      return { body: { data: [] } }
    }
    const slow = await standIn({ 'GET /v1/models': answer }).listen()
    const home = await realHome({ origins: { openai: slow.origin } })
    home.start(['serve', '--no-page'])
    await until(home.holder)

    /** What was begun in the record and has no end there. */
    const open = async () => {
      const entries = (await (await home.ask('/api/audit?limit=1000')).json()) as AuditEntry[]
      const closed = new Set(entries.map(({ opened }) => opened))
      return entries.filter(
        (one) => one.verb === 'connect' && one.outcome === 'opened' && !closed.has(one.seq),
      )
    }

    const waiting = home.start(['connect', 'openai', '--key-stdin'])
    const asking = home.start(['connect', 'openai', '--key-stdin'])
    const said = [waiting, asking].map(collect)
    asking.stdin?.end(key)
    await asked.promise
    const pressed = Date.now()
    for (const child of [waiting, asking]) child.kill('SIGINT')
    expect(await Promise.all([waiting, asking].map(ended))).toEqual([130, 130])
    expect(Date.now() - pressed).toBeLessThan(10_000)
    expect(await Promise.all(said)).toEqual(['cancelled\n', 'cancelled\n'])

    letGo.resolve()
    await until(async () => (await open()).length === 0)
    expect(await (await home.ask('/api/accounts')).json()).toEqual([])
    await home.close()
    await slow.close()
  })

  it('ends it at the prompt of a real terminal, and leaves the terminal as it was', async ({ skip }) => {
    const opener = 'script'
    const { error } = spawnSync(opener, ['--version'])
    skip(error !== undefined, 'not run: there is no script(1) to open a terminal with')
    const home = await copyOfGood()
    const typed = `stty cols 80; exec "${process.execPath}" "${BIN}" connect openai/other`
    const terminal = spawn(opener, ['-qec', typed, '/dev/null'], {
      env: { ...home.env, TERM: 'xterm' },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    home.own(terminal)
    let seen = ''
    terminal.stdout.on('data', (chunk) => {
      seen += chunk
    })
    await until(() => seen.includes('API key'))
    terminal.stdin.write('\u0003')
    expect(await ended(terminal)).toBe(130)
    // The cursor is there again.
    expect(seen.endsWith('\u001b[?25hcancelled\r\n')).toBe(true)
    expect(await (await home.ask('/api/accounts')).json()).toHaveLength(1)
    await home.close()
  })
})

async function collect({ stdout, stderr }: ReturnType<RealHome['start']>): Promise<string> {
  let text = ''
  stdout?.on('data', (chunk) => {
    text += chunk
  })
  for await (const chunk of stderr ?? []) text += chunk
  return text
}
