import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type LendingHome, lendingHome } from './journeys/lending-home.ts'
import { leave } from './leave.ts'

const PAGE = fileURLToPath(new URL('../docs/other-languages.md', import.meta.url))
const ALLOWED = ['--allow', 'openai', '--allow', 'practice:lend']

const has = (tool: string, ...words: readonly string[]) => spawnSync(tool, words).status === 0
const python = has('python3', '--version')

describe('docs/other-languages.md', () => {
  let place: LendingHome
  let folder: string
  let snippets: ReadonlyMap<string, readonly string[]>

  beforeAll(async () => {
    const blocks = (await readFile(PAGE, 'utf8')).matchAll(/^```(\w+)\n(.*?)^```$/gms)
    snippets = [...blocks].reduce(
      (all, [, language = '', text = '']) => all.set(language, [...(all.get(language) ?? []), text]),
      new Map<string, readonly string[]>(),
    )
    folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
    place = await lendingHome()
  }, 60_000)

  afterAll(async () => {
    await place.close()
    await leave(folder)
  })

  /** As it is printed, but for the account that is lent: here it is one to practise on. */
  async function play(language: string, at: number, name: string, ...program: readonly string[]) {
    const file = join(folder, name)
    const text = snippets.get(language)?.[at]
    if (text === undefined) throw new Error('the page has no such snippet')
    await writeFile(file, text.replaceAll('"github"', '"practice"'))
    return place.home.run(['sandbox', ...ALLOWED, '--', ...program, file])
  }

  it('prints what is tried here, and nothing besides', () => {
    expect([...snippets].map(([language, texts]) => [language, texts.length])).toEqual([
      ['sh', 2],
      ['python', 2],
      ['go', 1],
    ])
  })

  it.skipIf(!has('curl', '--version'))('forwards by curl (skipped: there is no curl here)', async () => {
    const { code, stdout } = await play('sh', 0, 'forward.sh', 'sh')
    expect(code).toBe(0)
    expect(JSON.parse(stdout).data[0].id).toBe('gpt-5')
  })

  it.skipIf(!has('curl', '--version'))(
    'is lent a token by curl (skipped: there is no curl here)',
    async () => {
      const { code, stdout } = await play('sh', 1, 'lend.sh', 'sh')
      expect(code).toBe(0)
      expect(JSON.parse(stdout)).toMatchObject({
        token: await place.token(),
        tokenType: expect.stringMatching(/^bearer$/i),
      })
    },
  )

  it.skipIf(!python)(
    'does both by the standard library of Python (skipped: there is no python3 here)',
    async () => {
      const { code, stdout, stderr } = await play('python', 0, 'ask.py', 'python3')
      expect([code, stderr]).toEqual([0, ''])
      const [forwarded, lent] = stdout.split('\n')
      expect(forwarded).toMatch(/^\(200, .*'gpt-5'/)
      expect(lent).toMatch(/^200 2\d{3}-\d\d-\d\dT/)
    },
  )

  it.skipIf(!python)(
    'is lent a token by messages, from Python (skipped: there is no python3 here)',
    async () => {
      const { code, stdout, stderr } = await play('python', 1, 'messages.py', 'python3')
      expect([code, stderr]).toEqual([0, ''])
      expect(stdout).toMatch(/^bearer \d{10} False\n$/i)
    },
  )

  it.skipIf(!python)('has Python refused as everybody is (skipped: there is no python3 here)', async () => {
    const file = join(folder, 'messages.py')
    const refused = await place.home.run(['sandbox', '--allow', 'openai', '--', 'python3', file])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/PermissionError: (FORBIDDEN|UNAUTHORIZED|NOT_FOUND)/)
  })

  it.skipIf(!has('go', 'version'))(
    'forwards from Go (skipped: there is no go here)',
    { timeout: 120_000 },
    async () => {
      const { code, stdout } = await play('go', 0, 'main.go', 'go', 'run')
      expect([code, stdout]).toEqual([0, expect.stringMatching(/^200 .*gpt-5/)])
    },
  )
})
