import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { leave } from './leave.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
/** What a run of tests needs. What is installed is not copied. */
const TREE = [
  'src',
  'test',
  'client',
  'docs',
  'scripts',
  'bin',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
]

const read = (name: string) => readFile(join(root, name), 'utf8')

/** Every file that a recipe prints, by its name. */
async function printedFiles(): Promise<ReadonlyMap<string, string>> {
  const blocks = (await read('CONTRIBUTING.md')).matchAll(/^```ts\n\/\/ (src\/\S+)\n(.*?)^```$/gms)
  return new Map([...blocks].map(([, name = '', text = '']) => [name, text]))
}

describe('the recipes of CONTRIBUTING', () => {
  let copy: string

  beforeAll(async () => {
    copy = await mkdtemp(join(tmpdir(), 'valetkey-'))
    for (const name of TREE) await cp(join(root, name), join(copy, name), { recursive: true })
    await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
    for (const [name, text] of await printedFiles()) await writeFile(join(copy, name), text)
  }, 120_000)

  afterAll(async () => {
    await rm(join(copy, 'node_modules'), { force: true })
    await leave(copy)
  })

  /** A tool of the clone, in the copy; what the run around us was told is not for this one. */
  async function run(tool: string, ...words: readonly string[]) {
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(?:VITEST|VALETKEY_|NODE_OPTIONS$)/.test(name)),
    )
    const child = spawn(join(root, 'node_modules', '.bin', tool), words, {
      cwd: copy,
      env: { ...env, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        said += text
      })
    const [code] = await once(child, 'close')
    return { code: code as number | null, said }
  }

  /** One edit of a file that is there. */
  async function edit(name: string, before: string, after: string): Promise<void> {
    const text = await readFile(join(copy, name), 'utf8')
    expect(text.split(before)).toHaveLength(2)
    await writeFile(join(copy, name), text.replace(before, after))
  }

  it('print a flow and an engine', async () => {
    expect([...(await printedFiles()).keys()]).toEqual([
      'src/flows/ticket.ts',
      'src/flows/ticket.test.ts',
      'src/storage/fleeting.ts',
      'src/storage/fleeting.test.ts',
    ])
  })

  it.each([
    ['the flow', 'src/flows/ticket.test.ts', /the flow contract, kept by ticket/],
    ['the engine', 'src/storage/fleeting.test.ts', /the storage contract, kept by an engine that forgets/],
  ])(
    '%s that is printed keeps its contract',
    async (_, file, contract) => {
      const { code, said } = await run('vitest', 'run', '--reporter=verbose', file)
      expect(said).toMatch(contract)
      expect([code, said]).toEqual([0, expect.stringMatching(/Tests +\d\d+ passed/)])
    },
    240_000,
  )

  it('add a provider by a file, and by what was recorded of it', async () => {
    const nearest = await read('src/providers/groq.json')
    const acme = nearest.replaceAll('groq.com', 'acme.com').replace('"groq"', '"acme"')
    await writeFile(join(copy, 'src/providers/acme.json'), acme.replace('"Groq"', '"Acme"'))
    await writeFile(join(copy, 'test/providers/acme.json'), await read('test/providers/groq.json'))
    const ran = await run('vitest', 'run', 'src/providers', '-t', 'acme|the built-in providers|the recorded')
    expect([ran.code, ran.said]).toEqual([0, expect.stringMatching(/Tests +\d\d+ passed/)])
  }, 240_000)

  it('give a door its room by a row of the table', async () => {
    await mkdir(join(copy, 'src/doors/quiet'))
    const door = "import type { Broker } from '../../model/broker.ts'\n\nexport type Asked = Broker['as']\n"
    await writeFile(join(copy, 'src/doors/quiet/door.ts'), door)
    const before = await run('vitest', 'run', 'test/rooms.test.ts')
    expect([before.code, before.said]).toEqual([1, expect.stringContaining('src/doors/quiet/door.ts')])
    const row = "  'doors/mcp': ["
    await edit('test/rooms.test.ts', row, `  'doors/quiet': ['model', 'wire', 'machine'],\n${row}`)
    const { code, said } = await run('vitest', 'run', 'test/rooms.test.ts')
    expect([code, said]).toEqual([0, expect.stringContaining('passed')])
  }, 240_000)

  it('are found in their rooms, and fit into the house by the lines that are named', async () => {
    await edit('src/open.ts', 'flows: [', 'flows: [ticketFlow, ')
    await edit(
      'src/open.ts',
      'import type { Flow }',
      "import { ticketFlow } from './flows/ticket.ts'\nimport type { Flow }",
    )
    const changed = ['src/open.ts', ...(await printedFiles()).keys()]
    const types = (await run('tsc', '-p', '.')).said.split('\n')
    expect(types.filter((line) => changed.some((name) => line.startsWith(name)))).toEqual([])
    const rooms = await run('vitest', 'run', 'test/rooms.test.ts')
    expect([rooms.code, rooms.said]).toEqual([0, expect.stringContaining('passed')])
  }, 240_000)
})

describe('the README', () => {
  it('prints the program that lies in examples', async () => {
    const [, printed] = /^```ts\n(.*?)^```$/ms.exec(await read('README.md')) ?? []
    const example = await read('examples/models.mjs')
    expect(printed).toBe(example.replace(/^\/\/ .*\n/, ''))
  })
})
