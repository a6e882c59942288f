import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { THE_PERSON } from '../../src/model/caller.ts'
import { openHouse } from '../../src/open.ts'
import { openSqlite } from '../../src/storage/sqlite.ts'
import { canary } from '../../src/testing/canary.ts'
import { standIn } from '../../src/testing/stand-in.ts'
import { VERSION } from '../../src/version.ts'
import { leave } from '../leave.ts'
import { firstLine, type RealHome, realHome, until } from '../real.ts'

const key = `sk-proj-${canary('openai')}`

describe('whoever runs valetkey', () => {
  it('is told in one line of JSON where it is', async () => {
    const place = await realHome()
    const broker = place.start(['serve', '--json', '--port', '0'])
    const told = JSON.parse(await firstLine(broker))
    expect(told).toEqual({
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/#code=/),
      socket: join(place.home, 'run', 'valetkey.sock'),
      home: join(place.home, 'data'),
      keySource: 'file',
      pid: broker.pid,
      version: VERSION,
    })
    await place.close()
  })

  it('is told so where no page is served, too', async () => {
    const place = await realHome()
    const told = JSON.parse(await firstLine(place.start(['serve', '--json', '--no-page'])))
    expect(told).toMatchObject({ url: null, socket: join(place.home, 'run', 'valetkey.sock') })
    await place.close()
  })

  it('[security 20.2] is told on standard error where the record stands, and no secret', async () => {
    const provider = await standIn({ 'GET /v1/models': { body: { data: [] } } }).listen()
    const place = await realHome({ origins: { openai: provider.origin } })
    const broker = place.start(['serve', '--json', '--port', '0'])
    let said = ''
    broker.stderr?.on('data', (chunk) => {
      said += chunk
    })
    await firstLine(broker)
    expect(await place.run(['connect', 'openai', '--key-stdin'], key)).toMatchObject({ code: 0 })
    await until(() => /^audit head [0-9a-f]{80,}$/m.test(said))
    expect(said).not.toContain(key)
    await leaveTogether(place, provider)
  })

  it('is told that the disk gives trouble', async () => {
    const home = await mkdtemp(join(tmpdir(), 'valetkey-'))
    const disk = await openSqlite(':memory:')
    const lines: string[] = []
    let broken = false
    const storage = {
      ...disk,
      sync: () => (broken ? Promise.reject(new Error('the disk is gone')) : disk.sync()),
    }
    const house = await openHouse({ home, env: {} }, { storage, log: (line) => lines.push(line) })
    const desk = house.broker.as({ id: 'app:x', owner: THE_PERSON, proof: { door: 'test' } })
    broken = true
    await expect(desk.lend({ address: 'github' })).rejects.toMatchObject({ code: 'not-connected' })
    await until(() => lines.some((line) => line.startsWith('the record could not be synced')))
    broken = false
    await house.broker.close()
    await leave(home)
  })
})

async function leaveTogether(place: RealHome, provider: { close(): Promise<void> }): Promise<void> {
  await place.close()
  await provider.close()
}
