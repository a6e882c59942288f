import type { ChildProcess } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DemoTold } from '../../src/doors/cli/hands.ts'
import { report } from '../figures.ts'
import { ended, type RealHome, realHome } from '../real.ts'

let home: RealHome

beforeAll(async () => {
  home = await realHome()
})

afterAll(() => home.close())

describe('valetkey demo', () => {
  it('has twenty processes share an account by one renewal, beside twenty that are logged out', async () => {
    const { code, stdout, stderr } = await home.run(['demo', '--json'])
    expect(stderr).toContain('the account is revoked')
    expect(code).toBe(0)
    const { valetkey, tokenFile, revoked } = JSON.parse(stdout) as DemoTold
    expect(valetkey).toMatchObject({
      programs: 20,
      answered: 20,
      loggedOut: 0,
      holdingTokens: 0,
      refreshes: 1,
    })
    expect(tokenFile).toMatchObject({ programs: 20, loggedOut: 20, holdingTokens: 20 })
    expect(revoked.stopped).toBe(20)
    expect(revoked.receipt.lines.map(({ state }) => state)).toEqual(['died', 'died'])
    report(
      'demo, renewals for 20 processes through valetkey',
      valetkey.refreshes,
      1,
      'counted by the provider',
    )
    report('demo, logged out through valetkey', valetkey.loggedOut, 20, 'processes')
    report('demo, logged out with a token file', tokenFile.loggedOut, 20, 'processes')
    report('demo, ms from revoke to the last byte served', revoked.lastByteAfter, 100, 'one clock')
    expect(revoked.lastByteAfter).toBeLessThanOrEqual(100)
  }, 60_000)

  it('leaves nothing behind', async () => {
    const before = await leftovers()
    const { code, stdout } = await home.run(['demo', '--programs', '1'])
    expect(stdout).toContain('all 1 stopped')
    expect(code).toBe(0)
    expect(await leftovers()).toEqual(before)
  }, 60_000)

  it('leaves nothing behind where ctrl-c ends it in the middle', async () => {
    const before = await leftovers()
    const child = home.start(['demo', '--programs', '1'])
    await firstWords(child, 'begin at once')
    expect(await leftovers()).toHaveLength(before.length + 1)
    child.kill('SIGINT')
    expect(await ended(child)).toBe(130)
    expect(await leftovers()).toEqual(before)
  }, 60_000)
})

async function firstWords({ stderr }: ChildProcess, words: string): Promise<void> {
  let said = ''
  for await (const text of stderr ?? []) {
    said += text
    if (said.includes(words)) return
  }
}

async function leftovers(): Promise<readonly string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith('valetkey-demo-'))
}
