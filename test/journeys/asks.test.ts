import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Ask } from '#client'
import { kill, type Ran, until } from '../real.ts'
import { noTerminal, typeCommand } from '../terminal.ts'
import { type LendingHome, lendingHome, VALETKEY } from './lending-home.ts'

const MODELS = ['forward', 'openai', 'GET', '/v1/models']
const DOWN = '\u001b[B'

describe('asking the owner, from process to process', { timeout: 60_000 }, () => {
  let place: LendingHome
  const run = (...args: readonly string[]): Promise<Ran> => place.home.run(args)
  const pending = (reason: string): Promise<Ask> =>
    until(async () => {
      const { stdout } = await run('asks', '--json')
      const all = JSON.parse(stdout) as readonly Ask[]
      return all.find((ask) => ask.state === 'pending' && ask.reason === reason)
    })

  beforeAll(async () => {
    place = await lendingHome()
  }, 60_000)

  afterAll(() => place.close())

  it('lets a program in a sandbox have more than it was given, once its owner says so', async () => {
    const asking = `${VALETKEY} ask openai --reason 'label pull requests' --wait 30s && ${VALETKEY} ${MODELS.join(' ')}`
    const boxed = run('sandbox', '--allow', 'practice', '--', 'sh', '-c', asking)
    const ask = await pending('label pull requests')
    expect(ask.caller).toMatch(/^socket:/)
    expect(ask.who).toMatchObject({
      uid: process.getuid?.(),
      executable: expect.stringContaining('valetkey.mjs'),
    })
    expect(ask.who.chain.join()).toContain('valetkey.mjs')
    expect(await run('asks', 'allow', ask.id)).toMatchObject({ code: 0, stdout: '' })
    const { code, stdout } = await boxed
    expect([code, stdout]).toEqual([0, expect.stringContaining('gpt-5')])
  })

  it('loses nothing when the broker is killed, neither before it is decided nor after', async () => {
    const asking = run('ask', 'openai', '--reason', 'nightly sync', '--wait', '50s', '--as', 'app:sync')
    const { id } = await pending('nightly sync')
    await kill((await place.home.holder()) ?? 0)
    expect((await pending('nightly sync')).id).toBe(id)
    expect(await run('asks', 'allow', id, '--once')).toMatchObject({ code: 0 })
    expect(await asking).toMatchObject({ code: 0, stdout: `${id}\n` })
    await kill((await place.home.holder()) ?? 0)
    expect(await run(...MODELS, '--as', 'app:sync')).toMatchObject({ code: 0 })
    await kill((await place.home.holder()) ?? 0)
    expect((await run(...MODELS, '--as', 'app:sync')).stderr).toMatch(/^! ask-needed: /)
  })

  it('tells whoever watches, as it is asked', async () => {
    const watching = place.home.start(['asks', '--watch'])
    let seen = ''
    watching.stdout?.on('data', (chunk) => {
      seen += chunk
    })
    watching.stderr?.on('data', (chunk) => {
      seen += chunk
    })
    await until(() => seen.includes('waiting for somebody'))
    await run('ask', 'openai', '--reason', 'something new', '--as', 'app:new')
    await until(() => seen.includes('wants to send requests with openai: "something new"'))
    expect(seen).toMatch(/^new \(node .*valetkey\.mjs, started by .*\) wants/m)
    watching.kill('SIGINT')
  })

  it.skipIf(noTerminal)('puts it to the person who sits there, and goes on when they allow it', async () => {
    await run('bind', 'app:typed', 'openai', '--may', 'forward')
    const turned = typeCommand(place.home, [...MODELS, '--as', 'app:typed', '--purpose', 'a look'])
    await until(() => turned.said().includes('allow this?'))
    expect(turned.said()).toMatch(/typed \(node .*\) wants to send requests with openai: "a look"/)
    turned.type('')
    expect([await turned.code(), turned.said()]).toEqual([4, expect.stringContaining('ask-needed')])
    const typed = typeCommand(place.home, [...MODELS, '--as', 'app:typed'])
    await until(() => typed.said().includes('allow this?'))
    typed.type(DOWN + DOWN)
    expect([await typed.code(), typed.said()]).toEqual([0, expect.stringContaining('gpt-5')])
  })
})
