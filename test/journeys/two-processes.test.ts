import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AuditEntry } from '../../src/index.ts'
import { canary } from '../../src/testing/canary.ts'
import { type ListeningStandIn, standIn } from '../../src/testing/stand-in.ts'
import { ended, kill, type RealHome, realHome, until } from '../real.ts'
import { type Program, startProgram } from './program.ts'

const key = `sk-proj-${canary('openai')}`

let provider: ListeningStandIn
let home: RealHome

beforeEach(async () => {
  provider = await standIn({ 'GET /v1/models': { body: { data: [] } } }).listen()
  home = await realHome({ origins: { openai: provider.origin } })
})

afterEach(async () => {
  await home.close()
  await provider.close()
})

const socket = () => join(home.home, 'run', 'valetkey.sock')
const connect = () => home.run(['connect', 'openai', '--key-stdin'], key)
const doneBy = (entries: readonly AuditEntry[], caller: string) =>
  entries.filter((one) => one.caller === caller && one.verb === 'forward' && one.outcome === 'done').length

describe('two programs that open the same vault at once', () => {
  it('are one holder and one client, and keep one record', async () => {
    const [one, other] = await Promise.all([startProgram(home), startProgram(home)])
    const holder = await one.tell('holder')
    expect([one.pid, other.pid]).toContain(holder)
    expect(await other.tell('holder')).toBe(holder)
    const client = holder === one.pid ? other : one

    await one.tell('connect', 'openai', key)
    for (const program of [one, other]) {
      expect(await program.tell('forward', 'openai', '/v1/models')).toEqual({
        status: 200,
        text: '{"data":[]}',
      })
    }
    const entries: readonly AuditEntry[] = await other.tell('audit')
    const proofs = entries.filter(({ verb }) => verb === 'forward').map(({ proof }) => proof)
    expect(proofs).toContainEqual(expect.stringMatching(new RegExp(`^library, .*pid ${holder}\\b`)))
    expect(proofs).toContainEqual(expect.stringMatching(new RegExp(`^socket, .*pid ${client.pid}\\b`)))
    expect(await client.tell('verify')).toMatchObject({ ok: true, problems: [] })
    expect(await one.close()).toBe(0)
    expect(await other.close()).toBe(0)
    expect(existsSync(socket())).toBe(false)
  })

  it('hear what the other one does, and go on hearing it after the holder has died', async () => {
    const holder = await startProgram(home)
    const [listener, doer] = await Promise.all([startProgram(home), startProgram(home)])
    await listener.tell('hear', 'revoked')
    await doer.tell('connect', 'openai', key)
    await doer.tell('revoke', 'openai')
    await until(() => heard(listener) === 1)

    await kill(holder.pid)
    // A request that was on its way to the dead one is told as such, and can be made again.
    const connect = () => doer.tell('connect', 'openai/again', key)
    await connect().catch((error) => (error.message === 'broker-gone' ? connect() : Promise.reject(error)))
    await doer.tell('revoke', 'openai/again')
    await until(() => heard(listener) === 2)
    expect([listener.pid, doer.pid]).toContain(await listener.tell('holder'))
    expect(await listener.tell('holder')).toBe(await doer.tell('holder'))
  })
})

function heard({ said }: Program): number {
  return said.filter((message) => message['heard'] === 'revoked').length
}

describe('a holder that is killed while ten callers are at work', () => {
  it('is followed by one of them, and no answered call is missing in the record', async () => {
    const holder = await startProgram(home)
    await holder.tell('connect', 'openai', key)
    const names = Array.from({ length: 5 }, (_, number) => `app:worker-${number}`)
    await Promise.all(names.map((name) => holder.tell('bind', name, 'openai')))
    const workers = await Promise.all(names.map((name) => startProgram(home, name)))
    const works = workers.map((worker) => worker.tell('work', 'openai', '/v1/models', '2'))
    await until(() => workers.every((worker) => answeredBy(worker) > 2))

    await kill(holder.pid)
    const before = workers.map(answeredBy)
    await until(() => workers.every((worker, at) => answeredBy(worker) > (before[at] ?? 0) + 2))
    await Promise.all(workers.map((worker) => worker.tell('rest')))
    const ends = (await Promise.all(works)) as { answered: number; failed: string[] }[]

    const reader = await startProgram(home)
    const next = await reader.tell('holder')
    expect(workers.map(({ pid }) => pid)).toContain(next)
    const entries: readonly AuditEntry[] = await reader.tell('audit')
    for (const [at, { answered, failed }] of ends.entries()) {
      // What was under way when the holder died is asked for again. An answer that was begun is not.
      expect(failed.filter((code) => code !== 'broker-gone')).toEqual([])
      expect(failed.length).toBeLessThanOrEqual(1)
      const recorded = doneBy(entries, names[at] ?? '')
      expect(recorded).toBeGreaterThanOrEqual(answered)
      // What was done once and asked for again is on record twice: each of the two hands had one under way.
      expect(recorded).toBeLessThanOrEqual(answered + failed.length + 2)
    }
    expect(await reader.tell('verify')).toMatchObject({ ok: true, problems: [] })
    expect(await reader.tell('accounts')).toMatchObject([{ providerId: 'openai', status: 'connected' }])
  })
})

function answeredBy({ said }: Program): number {
  return Number(said.at(-1)?.['answered'] ?? 0)
}

describe('commands where no broker runs', () => {
  it('start one for all of them, though twenty come at once', async () => {
    expect(await connect()).toMatchObject({ code: 0 })
    await kill(await until(home.holder))
    expect(existsSync(socket())).toBe(true)

    const runs = await Promise.all(
      Array.from({ length: 20 }, () => home.run(['forward', 'openai', 'GET', '/v1/models'])),
    )
    expect(runs.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
      runs.map(() => ({ code: 0, stderr: '' })),
    )
    // One that is started beside another says there that the vault is held; this one, where its record stands.
    expect(await readFile(join(home.home, 'run', 'broker.log'), 'utf8')).toMatch(
      /^(audit head [0-9a-f]+\n)*$/,
    )
    const entries = (await (await home.ask('/api/audit?limit=1000')).json()) as AuditEntry[]
    expect(doneBy(entries, 'person:owner')).toBe(20)
    expect(entries.map(({ seq }) => seq)).toEqual([...new Set(entries.map(({ seq }) => seq))])
    expect(await home.run(['audit', 'verify'])).toMatchObject({ code: 0 })
  })

  it('find the socket of a killed one no obstacle, and its lock neither', async () => {
    const first = home.start(['serve', '--no-page'])
    const pid = await until(home.holder)
    expect(pid).toBe(first.pid)
    await kill(pid)
    expect(existsSync(socket())).toBe(true)
    expect(await home.run(['accounts', '--json'])).toEqual({ code: 0, stdout: '[]\n', stderr: '' })
    expect(await home.holder()).not.toBe(pid)
  })

  it('start another when they come while the last one is leaving', async () => {
    const leaving = home.start(['serve', '--no-page'])
    await until(home.holder)
    leaving.kill('SIGTERM')
    expect(await home.run(['accounts', '--json'])).toEqual({ code: 0, stdout: '[]\n', stderr: '' })
    expect(await ended(leaving)).toBe(0)
  })
})
