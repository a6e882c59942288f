import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { canary } from '../../src/testing/canary.ts'
import { standIn } from '../../src/testing/stand-in.ts'
import { ended, realHome, until } from '../real.ts'

const key = `sk-proj-${canary('openai')}`

describe.concurrent('a broker that nobody needs', () => {
  it('leaves after its idle time, and takes its socket along', async () => {
    const place = await realHome()
    const broker = place.start(['serve', '--no-page', '--leave-after', '2s'])
    await until(place.holder)
    for (let asked = 0; asked < 3; asked += 1) {
      await pause(1000)
      expect(await place.holder()).toBe(broker.pid)
    }
    expect(await ended(broker)).toBe(0)
    expect(existsSync(join(place.home, 'run', 'valetkey.sock'))).toBe(false)
    await place.close()
  })

  it('stays while an answer is still streaming', async () => {
    const slow = await standIn({
      'GET /v1/models': { body: { data: [] } },
      'GET /v1/slow': () => ({ body: drops(6, 700) }),
    }).listen()
    const place = await realHome({ origins: { openai: slow.origin } })
    const broker = place.start(['serve', '--no-page', '--leave-after', '2s'])
    await until(place.holder)
    expect(await place.run(['connect', 'openai', '--key-stdin'], key)).toMatchObject({ code: 0 })
    const answer = await place.ask('/forward/openai/default/v1/slow')
    expect(await answer.text()).toBe('123456')
    expect(await ended(broker)).toBe(0)
    await place.close()
    await slow.close()
  })
})

async function* drops(count: number, everyMs: number): AsyncGenerator<Buffer> {
  for (let drop = 1; drop <= count; drop += 1) {
    yield Buffer.from(String(drop))
    await pause(everyMs)
  }
}
