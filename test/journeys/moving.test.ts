import { randomUUID } from 'node:crypto'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Imported } from '#client'
import { socketFetch } from '../../src/doors/socket/fetch.ts'
import type { ProviderFile } from '../../src/model/provider.ts'
import { Secret } from '../../src/model/secret.ts'
import { openPractice, type Practice } from '../../src/practice/practice.ts'
import { deskOver } from '../../src/reach.ts'
import { canary } from '../../src/testing/canary.ts'
import { type HostileServer, hostileServer } from '../../src/testing/hostile-server.ts'
import { type ListeningStandIn, standIn } from '../../src/testing/stand-in.ts'
import { sealExport } from '../../src/vault/export.ts'
import { openExport } from '../../src/vault/export-opening.ts'
import { wherePaths } from '../../src/where.ts'
import { connectAt, practiceHome } from '../faults/homes.ts'
import { report, size } from '../figures.ts'
import { configure, kill, type RealHome, realHome, until } from '../real.ts'

const passphrase = canary('passphrase')
const keys = { one: `sk-proj-${canary('one')}`, work: `sk-proj-${canary('work')}` }

function deskAt({ env }: RealHome) {
  return deskOver(socketFetch(wherePaths({ env }).socket))
}

describe('accounts that move to another home', () => {
  let provider: ListeningStandIn
  let practice: Practice
  let here: RealHome
  let there: RealHome
  let file: string

  beforeAll(async () => {
    const models = ({ headers }: { headers: Readonly<Record<string, unknown>> }) =>
      Object.values(keys).includes(String(headers['authorization']).replace('Bearer ', ''))
        ? { body: { key: headers['authorization'] === `Bearer ${keys.one}` ? 'one' : 'work' } }
        : { status: 401, body: {} }
    provider = await standIn({ 'GET /v1/models': models }).listen()
    practice = await openPractice()
    ;[here, there] = await Promise.all([practiceHome(practice), practiceHome(practice)])
    for (const { home } of [here, there])
      await configure(home, { allow: [practice.origin.host], origins: { openai: provider.origin } })
    file = join(here.home, 'accounts.vk')
  }, 60_000)

  afterAll(async () => {
    await here?.close()
    await there?.close()
    await practice?.close()
    await provider?.close()
  })

  const importAt = (home: RealHome, ...more: readonly string[]) =>
    home.run(['vault', 'import', file, '--passphrase-stdin', ...more], passphrase)
  const accountsThere = async () => JSON.parse((await there.run(['accounts', '--json'])).stdout)
  const accepted = async (token: string) =>
    (await fetch(new URL('/me', practice.origin), { headers: { authorization: `Bearer ${token}` } })).status

  it('are exported into one sealed file, with what is to be known about it', async () => {
    expect(await here.run(['connect', 'openai', '--key-stdin'], keys.one)).toMatchObject({ code: 0 })
    expect(await here.run(['connect', 'openai/work', '--key-stdin'], keys.work)).toMatchObject({ code: 0 })
    await connectAt(deskAt(here).desk, practice, { seconds: 3600 })
    const told = await here.run(['vault', 'export', '--to', file, '--passphrase-stdin'], passphrase)
    expect(told).toMatchObject({ code: 0, stdout: `exported to ${file}\n` })
    expect(told.stderr).toMatch(/^renewed in one place only: practice\n/)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const { records } = await openExport(await readFile(file, 'utf8'), new Secret(passphrase))
    expect(records.flatMap(({ fields }) => Object.keys(fields))).not.toContain('worn:accessToken')
  }, 60_000)

  it(
    'are not taken in by anybody who does not have the passphrase, or not the whole of the file',
    async () => {
      const document = await readFile(file)
      const flipped = (at: number) => document.with(at, (document[at] ?? 0) ^ 1)
      const step = Math.ceil(document.length / size(40, document.length))
      const spoiled = Array.from({ length: Math.ceil(document.length / step) }, (_, n) => flipped(n * step))
      const others = [
        document.subarray(0, -1),
        document.subarray(1),
        document.subarray(0, 500),
        Buffer.alloc(0),
      ]
      const { keeper } = deskAt(there)
      expect((await there.run(['vault'])).code).toBe(0)
      let taken = 0
      for (const bytes of [
        ...spoiled,
        ...others.map((other) => other.subarray(0, -2)),
        Buffer.from('{"a":1}'),
      ]) {
        const tried = keeper.import(Buffer.from(bytes).toString('utf8'), passphrase)
        const code = await tried.then(
          () => 'taken',
          (error: { code?: string }) => error.code,
        )
        if (code === 'taken') taken += 1
        else expect(['invalid-request', 'wrong-key', 'tampered', 'newer-schema']).toContain(code)
      }
      report('spoiled exports taken in', taken, spoiled.length, 'one bit flipped, over a real socket')
      expect(taken).toBe(0)
      const wrong = await there.run(['vault', 'import', file, '--passphrase-stdin'], canary('wrong'))
      expect([wrong.code, wrong.stdout]).toEqual([5, ''])
      expect(wrong.stderr).toMatch(/^! wrong-key: .*\n {2}hint: .*\n$/)
      expect(await accountsThere()).toEqual([])
    },
    size(120_000, 3_600_000),
  )

  it('are used there: forwarded with, and lent after one renewal', async () => {
    const imported = await importAt(there)
    expect(imported).toMatchObject({ code: 0 })
    expect(imported.stdout).toBe('imported openai\nimported openai/work\nimported practice\n')
    expect(imported.stderr).toMatch(/^renewed in one place only: practice\n/)
    const forwarded = (address: string) => there.run(['forward', address, 'GET', '/v1/models'])
    expect((await forwarded('openai')).stdout).toBe('{"key":"one"}')
    expect((await forwarded('openai/work')).stdout).toBe('{"key":"work"}')
    const lent = await there.run(['lend', 'practice'])
    expect(lent).toMatchObject({ code: 0 })
    expect(await accepted(lent.stdout.trim())).toBe(200)
    expect((await there.run(['forward', 'practice', 'GET', '/me'])).stdout).toContain('alice')
    const counted = await fetch(new URL('/practice/counts', practice.origin))
    expect(JSON.stringify(await counted.json())).toMatch(/"refresh\w*":1\b/)
  }, 60_000)

  it('are kept when they come again, and replaced where that is wished, but for what is newer', async () => {
    const before = await accountsThere()
    const again = await importAt(there, '--json')
    expect(again.code).toBe(0)
    const outcomes = (stdout: string) =>
      JSON.parse(stdout).map(({ outcome, why }: Imported) => [outcome, why])
    const why = 'it is connected here already'
    expect(outcomes(again.stdout)).toEqual([
      ['kept', why],
      ['kept', why],
      ['kept', why],
    ])
    const replaced = await importAt(there, '--json', '--replace')
    expect([replaced.code, outcomes(replaced.stdout)]).toEqual([
      0,
      [
        ['replaced', null],
        ['replaced', null],
        ['kept', 'what is connected here is newer'],
      ],
    ])
    const ids = (accounts: readonly { id: string }[]) => accounts.map(({ id }) => id).toSorted()
    expect(ids(await accountsThere())).toEqual(ids(before))
    expect((await there.run(['forward', 'openai', 'GET', '/v1/models'])).stdout).toBe('{"key":"one"}')
    expect((await there.run(['lend', 'practice'])).code).toBe(0)
  }, 60_000)

  it('are on record, and the record is whole', async () => {
    const shown = await there.run(['audit', 'list', '--verb', 'import', '--json'])
    const details = JSON.parse(shown.stdout).map(({ detail }: { detail?: string }) => detail)
    expect(details).toEqual(expect.arrayContaining(['3 imported', '3 kept', '2 replaced, 1 kept']))
    expect((await there.run(['audit', 'verify'])).stdout).toContain('ok')
  }, 60_000)

  it('are refused where they would go elsewhere, and the command says so', async () => {
    const elsewhere = await realHome({ origins: { openai: provider.origin } })
    const refused = await importAt(elsewhere)
    expect(refused.code).toBe(1)
    expect(refused.stdout).toBe(
      'imported openai\nimported openai/work\nrefused practice: no provider is called practice here\n',
    )
    await elsewhere.close()
  }, 60_000)
})

describe('accounts of a client of our own that move to another home', () => {
  const clientSecret = canary('clientsecret')
  let acme: HostileServer
  let practice: Practice
  let here: RealHome
  let there: RealHome
  let file: string

  beforeAll(async () => {
    acme = await hostileServer()
    acme.play({
      token: (honest, form) =>
        form.get('client_id') === 'mine' && form.get('client_secret') === clientSecret
          ? { body: honest }
          : { status: 401, body: { error: 'invalid_client' } },
    })
    practice = await openPractice()
    ;[here, there] = await Promise.all([homeOfBoth(), homeOfBoth()])
    file = join(here.home, 'accounts.vk')
  }, 60_000)

  afterAll(async () => {
    await here?.close()
    await there?.close()
    await practice?.close()
    await acme?.close()
  })

  /** One server whose client is made by hand, and one that makes us a client on the spot. */
  async function homeOfBoth(): Promise<RealHome> {
    const { host } = new URL(acme.issuer)
    const own: ProviderFile = {
      ...{ id: 'acme', name: 'Acme', category: 'other', hosts: [host], registration: 'yours' },
      oauth: { issuer: acme.issuer, clientAuth: 'post' },
      signIns: practice.file.signIns.map(({ verify: _, ...signIn }) => signIn),
      revoke: { how: 'rfc7009' },
    }
    const dynamic: ProviderFile = { ...practice.file, registration: 'dynamic' }
    const made = await realHome({ allow: [host, practice.origin.host] })
    const folder = join(made.home, 'config', 'providers')
    await mkdir(folder, { mode: 0o700 })
    for (const provider of [own, dynamic])
      await writeFile(join(folder, `${provider.id}.json`), JSON.stringify(provider), { mode: 0o600 })
    return made
  }

  async function connectAcme(): Promise<void> {
    const { desk } = deskAt(here)
    const { id, step } = await desk.connect({ provider: 'acme' })
    if (step?.ask !== 'visit') throw new Error(`it asks for ${step?.ask}`)
    await fetch(await acme.consent(new URL(step.url)))
    expect(await desk.flow(id)).toMatchObject({ state: 'done' })
  }

  const list = async (home: RealHome, ...words: readonly string[]) =>
    JSON.parse((await home.run([...words, '--json'])).stdout)

  it('are exported with that client, and with who may use them', async () => {
    const client = ['--client-id', 'mine', '--secret-stdin', '--insist']
    expect(await here.run(['register', 'acme', ...client], clientSecret)).toMatchObject({ code: 0 })
    await connectAcme()
    await connectAt(deskAt(here).desk, practice, { seconds: 3600 })
    expect(
      await here.run(['bind', 'app:reports', 'acme', '--may', 'lend,forward', '--asks', 'never']),
    ).toMatchObject({
      code: 0,
    })
    await deskAt(here).desk.rotateEvery('acme', 90)
    const told = await here.run(['vault', 'export', '--to', file, '--passphrase-stdin'], passphrase)
    expect(told).toMatchObject({ code: 0 })
    expect(await readFile(file, 'utf8')).not.toContain(clientSecret)
  }, 60_000)

  it('are renewed there by the same client, which nobody had to make again', async () => {
    const imported = await there.run(['vault', 'import', file, '--passphrase-stdin'], passphrase)
    expect(imported).toMatchObject({
      code: 0,
      stdout: 'imported acme: with its client; bound to app:reports\nimported practice: with its client\n',
    })
    const asked = acme.forms.length
    const lent = await there.run(['lend', 'acme'])
    expect(lent).toMatchObject({ code: 0 })
    expect(acme.issued).toContain(lent.stdout.trim())
    const forms = acme.forms.slice(asked).map((form) => [form.get('grant_type'), form.get('client_secret')])
    expect(forms).toEqual([['refresh_token', clientSecret]])
    expect((await there.run(['forward', 'practice', 'GET', '/me'])).stdout).toContain('alice')
    const clients = (registrations: readonly Record<string, string>[]) =>
      registrations.map(({ provider, issuer, clientId, how }) => [provider, issuer, clientId, how]).toSorted()
    const [before, after] = [await list(here, 'registrations'), await list(there, 'registrations')]
    expect(clients(after)).toEqual(clients(before))
    expect(after).toHaveLength(2)
  }, 60_000)

  it('keep who may use them, and how old their secrets may become', async () => {
    expect(await list(there, 'bindings')).toMatchObject([
      { caller: 'app:reports', address: 'acme', may: ['lend', 'forward'] },
    ])
    const [account] = (await list(there, 'accounts')).filter(
      ({ providerId }: { providerId: string }) => providerId === 'acme',
    )
    expect(account.rotateAt).not.toBeNull()
    expect((await there.run(['audit', 'list', '--verb', 'import'])).stdout).toContain(
      '2 imported, 1 binding, 2 clients',
    )
  }, 60_000)

  it('are refused where another client is registered, and it stays', async () => {
    const other = await homeOfBoth()
    const client = ['--client-id', 'another', '--secret-stdin', '--insist']
    expect(await other.run(['register', 'acme', ...client], canary('another'))).toMatchObject({ code: 0 })
    const refused = await other.run(['vault', 'import', file, '--passphrase-stdin', '--replace'], passphrase)
    expect(refused.code).toBe(1)
    expect(refused.stdout).toContain(
      'refused acme: it was issued to the client mine, and the one at Acme here is another\n',
    )
    await other.close()
  }, 60_000)
})

describe('an import that is cut off', () => {
  const ACCOUNTS = 2500
  const AT_ONCE = 500

  function manyKeys(): Promise<string> {
    const at = '2026-11-20T08:00:00.000Z'
    const records = Array.from({ length: ACCOUNTS }, (_, n) => ({
      owner: 'person:owner' as const,
      record: randomUUID(),
      about: 'openai',
      fields: { 'worn:key': new Secret(`sk-proj-${canary('many')}`) },
      plain: {
        ...{ address: `openai/b${n}`, bucket: `b${n}`, flow: 'api-key', connectedAt: Date.parse(at) },
        ...{ issuedAt: at, standing: 1, tokenType: 'Bearer', scopes: '', expiresAt: null },
        ...{
          grantEndsAt: null,
          idleEndsAt: null,
          origins: 'https://api.openai.com',
          issuer: null,
          client: null,
          ...{ status: 'connected', reason: null, rotateDays: null, bindings: '[]' },
        },
        profile: JSON.stringify({ subject: null, displayName: null, vars: {} }),
      },
    }))
    const now = () => new Date()
    return sealExport({ records, passphrase: new Secret(passphrase), now, newId: randomUUID })
  }

  /** How many accounts are there after an import that was cut off; each of them opens. */
  async function cutOff(home: RealHome, document: string, afterMs: number): Promise<number> {
    expect(await home.run(['vault'])).toMatchObject({ code: 0 })
    const pid = await until(home.holder)
    const importing = deskAt(home)
      .keeper.import(document, passphrase)
      .catch(() => undefined)
    await pause(afterMs)
    await kill(pid)
    await importing
    expect(await home.run(['vault'])).toMatchObject({ code: 0, stderr: '' })
    // What does not open is named by an export, which then fails.
    const { records } = await openExport(await deskAt(home).keeper.export(passphrase), new Secret(passphrase))
    return records.length
  }

  async function cutOffAgainAndAgain(cuts: number) {
    const document = await manyKeys()
    const halves: number[] = []
    let home = await realHome()
    let had = 0
    for (let cut = 0; cut < cuts; cut += 1) {
      const present = await cutOff(home, document, 300 + ((cut * 397) % 1500))
      if (present % AT_ONCE !== 0 || present < had) halves.push(present)
      had = present
      if (had < ACCOUNTS) continue
      await home.close()
      home = await realHome()
      had = 0
    }
    return { document, home, had, halves }
  }

  it('leaves every account whole or not there, and is finished by the next one', {
    timeout: size(300_000, 3_600_000),
  }, async () => {
    const cuts = size(3, 60)
    const { document, home, had, halves } = await cutOffAgainAndAgain(cuts)
    report(
      'imports cut off by SIGKILL that left half an account',
      halves.length,
      cuts,
      'real processes, SQLite',
    )
    expect(halves).toEqual([])
    expect(await home.run(['vault'])).toMatchObject({ code: 0 })
    const lines = await deskAt(home).keeper.import(document, passphrase)
    expect(lines.filter(({ outcome }) => outcome === 'kept')).toHaveLength(had)
    expect(lines.filter(({ outcome }) => outcome === 'imported')).toHaveLength(ACCOUNTS - had)
    expect((await home.run(['audit', 'verify'])).stdout).toContain('ok')
    await home.close()
  })
})
