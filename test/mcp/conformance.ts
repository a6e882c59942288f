import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { leave } from '../leave.ts'
import { serveDocument } from './conformance-document.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SUITE = 'node_modules/@modelcontextprotocol/conformance/dist/index.js'
const LITERAL = './test/mcp/conformance-literal.mjs'
const CLIENT = 'test/mcp/conformance-client.ts'
/** The suite gives a program up after this, and we the suite a little later. */
const PATIENCE_MS = 60_000
/** The same program is started many times; what it is compiled to is kept between them. */
const NODE_COMPILE_CACHE = join(ROOT, 'node_modules/.cache/valetkey-compiled')

export interface Verdict {
  readonly passed: boolean
  /** How many checks the suite made that say anything. */
  readonly checks: number
  /** What it found fault with. */
  readonly faults: readonly string[]
  /** What the program said when it gave up. */
  readonly said: string | undefined
}

interface Check {
  readonly id: string
  readonly status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'INFO'
  readonly errorMessage?: string
  readonly description: string
}

interface Ran {
  readonly code: number
  readonly output: string
}

/** Every scenario of the suite that tests a client. */
export async function scenarios(): Promise<readonly string[]> {
  const { output } = await node([SUITE, 'list'])
  const [, clients = ''] = output.split('Client scenarios')
  return [...clients.matchAll(/^ {2}- (\S+)/gm)].map(([, name = '']) => name)
}

/** Plays a scenario against a program that goes through Valetkey. */
export async function play(scenario: string): Promise<Verdict> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  const document = await serveDocument()
  try {
    const ca = join(folder, 'ca.pem')
    await writeFile(ca, document.ca)
    const env = { VALETKEY_CONFORMANCE_DOCUMENT: document.url, VALETKEY_CONFORMANCE_CA: ca }
    const command = `"${process.execPath}" ${CLIENT}`
    const words = [
      'client',
      '--command',
      command,
      '--scenario',
      scenario,
      '--timeout',
      String(PATIENCE_MS),
      '-o',
      join(folder, 'out'),
    ]
    const ran = await node(['--import', LITERAL, SUITE, ...words], env)
    return judged(ran, await read(join(folder, 'out')))
  } finally {
    document.close()
    await leave(folder)
  }
}

function judged({ code, output }: Ran, checks: readonly Check[]): Verdict {
  const bad = checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING')
  return {
    passed: code === 0 && bad.length === 0,
    checks: checks.filter(({ status }) => status !== 'INFO').length,
    faults: bad.map(({ id, errorMessage, description }) => `${id}: ${errorMessage ?? description}`),
    said: /^\w*Error: (.*)$/m.exec(output)?.[1],
  }
}

async function read(folder: string): Promise<readonly Check[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const file = names.find((name) => name.endsWith('checks.json'))
  return file === undefined ? [] : JSON.parse(await readFile(join(folder, file), 'utf8'))
}

function node(words: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const { PATH, TMPDIR, HOME, VALETKEY_CANARY_KEEP } = process.env
  const plain = { PATH, TMPDIR, HOME, VALETKEY_CANARY_KEEP, NODE_COMPILE_CACHE, NODE_NO_WARNINGS: '1' }
  const { promise, resolve } = Promise.withResolvers<Ran>()
  execFile(
    process.execPath,
    [...words],
    { cwd: ROOT, env: { ...plain, ...more }, timeout: PATIENCE_MS + 10_000, maxBuffer: 2 ** 24 },
    (error, stdout, stderr) => resolve({ code: error === null ? 0 : 1, output: stdout + stderr }),
  )
  return promise
}
