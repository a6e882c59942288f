import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { socketFetch } from '../../src/doors/socket/fetch.ts'
import { deskOver } from '../../src/reach.ts'
import { canary } from '../../src/testing/canary.ts'
import { faults } from '../../src/testing/faults.ts'
import { standIn } from '../../src/testing/stand-in.ts'
import { wherePaths } from '../../src/where.ts'
import { connectAt, practiceHome } from '../faults/homes.ts'
import { practiceBehindFaults } from '../faults/practice.ts'
import { ended, realHome, until } from '../real.ts'

const REVOCATION = 'POST /token/revocation'

const key = `sk-proj-${canary('openai')}`

describe.concurrent('a broker that nobody needs', () => {
  it('leaves after its idle time, and takes its socket along', async () => {
    const place = await realHome()
    const broker = place.start(['serve', '--no-page', '--leave-after', '4s'])
    await until(place.holder)
    for (let asked = 0; asked < 3; asked += 1) {
      await pause(1500)
      expect(await place.holder()).toBe(broker.pid)
    }
    expect(await ended(broker)).toBe(0)
    expect(existsSync(join(place.home, 'run', 'valetkey.sock'))).toBe(false)
    await place.close()
  })

  it('stays while an answer is still streaming', async () => {
    const slow = await standIn({
      'GET /v1/models': { body: { data: [] } },
      'GET /v1/slow': () => ({ body: drops(6, 1000) }),
    }).listen()
    const place = await realHome({ origins: { openai: slow.origin } })
    const broker = place.start(['serve', '--no-page', '--leave-after', '4s'])
    await until(place.holder)
    expect(await place.run(['connect', 'openai', '--key-stdin'], key)).toMatchObject({ code: 0 })
    const answer = await place.ask('/forward/openai/default/v1/slow')
    expect(await answer.text()).toBe('123456')
    expect(await ended(broker)).toBe(0)
    await place.close()
    await slow.close()
  })
})

describe('a broker that owes something to a provider', { timeout: 180_000 }, () => {
  it('stays for as long as that cannot be told, and leaves when it is', async () => {
    const practice = await practiceBehindFaults()
    const place = await practiceHome(practice)
    const { desk } = deskOver(socketFetch(wherePaths(place).socket))
    const broker = place.start(['serve', '--no-page', '--leave-after', '4s'])
    await until(place.holder)
    await connectAt(desk, practice, { seconds: 300 })
    const { token } = await desk.lend({ address: 'practice' })
    await practice.proxy.set(faults.answer(503), REVOCATION)
    expect(await desk.revoke('practice')).toMatchObject({ lines: [{ state: 'queued' }, { state: 'queued' }] })
    await pause(9000)
    expect(broker.exitCode).toBe(null)
    await practice.proxy.set(undefined)
    expect(await ended(broker)).toBe(0)
    const headers = { authorization: `Bearer ${token}` }
    expect(await fetch(new URL('/me', practice.origin), { headers })).toMatchObject({ status: 401 })
    await place.close()
    await practice.close()
  })
})

async function* drops(count: number, everyMs: number): AsyncGenerator<Buffer> {
  for (let drop = 1; drop <= count; drop += 1) {
    yield Buffer.from(String(drop))
    await pause(everyMs)
  }
}
