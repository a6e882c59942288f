import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EVERY_OWNER } from '../../src/model/storage.ts'
import { openSqlite } from '../../src/storage/sqlite.ts'
import { report, size } from '../figures.ts'

const WRITER = fileURLToPath(new URL('disk-writer.ts', import.meta.url))
const STRACE = 'strace'

let folder: string
let leave: (() => void)[]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  leave = []
})
afterEach(async () => {
  for (const one of leave.splice(0).toReversed()) one()
  await rm(folder, { recursive: true, force: true })
})

interface Writer {
  readonly child: ChildProcess
  readonly acknowledged: string[]
  /** What was said of those that were refused, by their ids. */
  readonly refused: Map<string, string>
  /** Whatever else it said. */
  readonly said: string[]
  until(so: () => boolean): Promise<void>
  readonly gone: Promise<unknown>
}

interface WriterOptions {
  readonly name: string
  readonly most: number
  /** After how many refusals it stops. */
  readonly patience: number
  readonly end?: 'close' | 'kill'
  /** What it is started through. */
  readonly through?: readonly string[]
}

function writer(file: string, options: WriterOptions): Writer {
  const { name, most, patience, end = 'close', through = [] } = options
  const words = [...through, process.execPath, WRITER, file, name, `${most}`, `${patience}`, end]
  const [command = '', ...rest] = words
  const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] })
  leave.push(() => child.kill('SIGKILL'))
  child.stdin.on('error', () => undefined)
  const acknowledged: string[] = []
  const refused = new Map<string, string>()
  const said: string[] = []
  const lines = createInterface(child.stdout).on('line', (line) => {
    const [word, id = '', ...why] = line.split(' ')
    if (word === 'yes') acknowledged.push(id)
    else if (word === 'no') refused.set(id, why.join(' '))
    else said.push(line)
  })
  const gone = Promise.all([once(child, 'exit'), once(lines, 'close')])
  return {
    child,
    acknowledged,
    refused,
    said,
    gone,
    async until(so) {
      while (!so()) {
        const over = await Promise.race([once(lines, 'line').then(() => false), gone.then(() => true)])
        if (over && !so()) throw new Error(`the writer ended: ${said}`)
      }
    },
  }
}

const hasStopped = ({ said }: Writer) => said.includes('stopped')

interface Found {
  readonly ids: ReadonlySet<string>
  /** What SQLite itself thinks of the file. */
  readonly integrity: string
}

/** What there is when the vault is opened next: of each record both rows, or neither. */
async function reopened(file: string): Promise<Found> {
  const storage = await openSqlite(file)
  const accounts = await storage.list('accounts', { owner: EVERY_OWNER })
  const sealed = await storage.list('sealed', { owner: EVERY_OWNER })
  await storage.close()
  const ids = accounts.map(({ id }) => id)
  expect(sealed.map(({ record }) => record).toSorted()).toEqual(ids.toSorted())
  const database = new DatabaseSync(file)
  const [check] = database.prepare('pragma integrity_check').all()
  database.close()
  return { ids: new Set(ids), integrity: String(check?.['integrity_check']) }
}

/** Sums up what became of many vaults. */
function tally() {
  const sum = { vaults: 0, acknowledged: 0, refused: 0, lost: 0, corrupt: 0 }
  return {
    sum,
    add({ acknowledged, refused }: Pick<Writer, 'acknowledged' | 'refused'>, found: Found): void {
      sum.vaults += 1
      sum.acknowledged += acknowledged.length
      sum.refused += refused.size
      sum.lost += acknowledged.filter((id) => !found.ids.has(id)).length
      sum.corrupt += found.integrity === 'ok' ? 0 : 1
    },
    tell(where: string, tool: string): void {
      report(`acknowledged records lost ${where}`, sum.lost, sum.acknowledged, tool)
      report(`corrupt vaults ${where}`, sum.corrupt, sum.vaults, tool)
      expect(sum).toMatchObject({ lost: 0, corrupt: 0 })
      expect(Math.min(sum.acknowledged, sum.refused)).toBeGreaterThan(sum.vaults)
    },
  }
}

function whyNoMount(): string | undefined {
  if (process.getuid?.() !== 0) return 'not run: only root can mount a small disk'
  const tried = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'])
  return tried.status === 0 ? undefined : 'not run: nothing can be mounted here'
}
const noMount = whyNoMount()

/** A disk of so many KiB, and what makes room on it. */
async function smallDisk(kib: number): Promise<{ readonly disk: string; enlarge(): void }> {
  const disk = join(folder, `disk-${kib}`)
  await mkdir(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kib}k,mode=0700`, 'tmpfs', disk], { stdio: 'pipe' })
  leave.push(() => execFileSync('umount', ['--lazy', disk]))
  return { disk, enlarge: () => execFileSync('mount', ['-o', 'remount,size=64m', disk], { stdio: 'pipe' }) }
}

describe('a disk that runs full', () => {
  // Before the log's first turn, at it, and beyond it, where the vault itself has to grow.
  const many = size(4, 40)
  const sizes = Array.from({ length: many }, (_, n) => 700 + Math.round((n * 12_000) / many))

  it.for(['by the same process', 'by the next one'])(
    'keeps all that was acknowledged, changes nothing else, and is no trouble %s once there is room',
    { timeout: size(120_000, 900_000) },
    async (by, { skip }) => {
      skip(noMount !== undefined, noMount)
      const all = tally()
      for (const kib of sizes) {
        const { disk, enlarge } = await smallDisk(kib)
        const file = join(disk, 'vault.db')
        const one = writer(file, { name: 'a', most: 5_000, patience: 5 })
        await one.until(() => hasStopped(one))
        expect([...one.refused.values()]).toEqual(Array(5).fill('disk-full true'))
        if (by === 'by the same process') {
          const before = one.acknowledged.length
          enlarge()
          one.child.stdin?.write('go on')
          await one.until(() => one.acknowledged.length > before + 20)
          expect(one.refused.size).toBe(5)
        }
        one.child.kill('SIGKILL')
        await one.gone
        enlarge()
        const found = await reopened(file)
        expect([...one.refused.keys()].filter((id) => found.ids.has(id))).toEqual([])
        all.add(one, found)
      }
      all.tell(`on a full disk, gone on ${by}`, 'ENOSPC on tmpfs')
    },
  )
})

describe('a file that may not grow', () => {
  it('keeps all that was acknowledged, and is no trouble to the next who may let it grow', async ({
    skip,
  }) => {
    skip(process.platform === 'win32', 'not run: there is no such limit here')
    const all = tally()
    for (let blocks = 800; blocks <= 2_000; blocks += 400) {
      const file = join(folder, `${blocks}.db`)
      const through = ['sh', '-c', `trap "" XFSZ; ulimit -f ${blocks}; exec "$@"`, 'sh']
      const one = writer(file, { name: 'a', most: 5_000, patience: 5, end: 'kill', through })
      await one.gone
      expect([...one.refused.values()]).toEqual(Array(5).fill(expect.stringMatching(/^[a-z-]+ true$/)))
      const next = writer(file, { name: 'b', most: 20, patience: 5, end: 'kill' })
      await next.gone
      expect(next.refused.size).toBe(0)
      all.add({ ...one, acknowledged: [...one.acknowledged, ...next.acknowledged] }, await reopened(file))
    }
    all.tell('where a file may not grow', 'EFBIG by ulimit')
  }, 120_000)
})

function whyNoStrace(): string | undefined {
  const tried = spawnSync(STRACE, ['-qq', '-e', 'trace=none', 'true'])
  return tried.status === 0 ? undefined : 'not run: strace is not installed here, or not allowed'
}
const noStrace = whyNoStrace()

const TROUBLES = [
  { call: 'pwrite64', error: 'EIO' },
  { call: 'pwrite64', error: 'ENOSPC' },
  { call: 'fsync,fdatasync', error: 'EIO' },
  { call: 'ftruncate,pwrite64,fsync', error: 'EIO' },
] as const

describe('a disk that fails', () => {
  it.for(TROUBLES)(
    'keeps all that was acknowledged, whichever $call it fails with $error',
    { timeout: size(120_000, 3_600_000) },
    async ({ call, error }, { skip }) => {
      skip(noStrace !== undefined, noStrace)
      const all = tally()
      let injected = 0
      for (let n = 0; n < size(4, 120); n += 1) {
        const file = join(folder, `${n}.db`)
        const trace = join(folder, `${n}.trace`)
        // Each third time already while the vault comes into being, from the end of that to its beginning.
        const isNew = n % 3 === 0
        if (!isNew) await (await openSqlite(file)).close()
        const [birth, often] = call.startsWith('fsync') ? [12, 2 + (n % 7)] : [125, 37 + ((n * 29) % 150)]
        const when = `${isNew ? birth - (n % birth) : 12 + (n % 40)}+${often}`
        const through = [STRACE, '-f', '-qq', '--seccomp-bpf', '-o', trace, '-e', `trace=${call}`]
        const fault = ['-e', `inject=${call}:error=${error}:when=${when}`]
        const options = { most: 60, patience: 60, end: n % 2 === 0 ? 'kill' : 'close' } as const
        const one = writer(file, { ...options, name: 'a', through: [...through, ...fault] })
        one.child.stdin?.end()
        await one.gone
        expect([...one.refused.values()].filter((why) => !/^[a-z-]+ true$/.test(why))).toEqual([])
        expect(one.said.filter((line) => line.startsWith('un') && !line.endsWith(' true'))).toEqual([])
        injected += (await readFile(trace, 'utf8')).split('(INJECTED)').length - 1
        const next = writer(file, { name: 'b', most: 3, patience: 1, end: 'kill' })
        await next.gone
        expect(next.acknowledged).toHaveLength(3)
        const found = await reopened(file)
        // Of a full disk it is said that nothing was changed.
        const unchanged = [...one.refused].filter(([, why]) => why.startsWith('disk-full'))
        expect(unchanged.filter(([id]) => found.ids.has(id))).toEqual([])
        all.add({ ...one, acknowledged: [...one.acknowledged, ...next.acknowledged] }, found)
      }
      all.tell(`with ${injected} times ${error} of ${call}`, 'strace')
    },
  )
})

describe('what is acknowledged', () => {
  it(
    'was on disk before, by a word of the disk itself',
    async ({ skip }) => {
      skip(noStrace !== undefined, noStrace)
      const trace = join(folder, 'trace')
      const calls = [
        'strace',
        '-f',
        '-y',
        '-qq',
        '--seccomp-bpf',
        '-o',
        trace,
        '-e',
        'trace=pwrite64,fsync,write',
      ]
      const many = size(60, 2_000)
      const one = writer(join(folder, 'vault.db'), { name: 'a', most: many, patience: 1, through: calls })
      one.child.stdin?.end()
      await one.gone
      expect(one.acknowledged).toHaveLength(many)
      const early = acknowledgedEarly(await readFile(trace, 'utf8'))
      report('records acknowledged before they were on disk', early, many, 'strace')
      expect(early).toBe(0)
    },
    size(60_000, 600_000),
  )
})

/** Counts what was said to be kept while something in the log was not yet said to be on disk. */
function acknowledgedEarly(trace: string): number {
  const syncing = new Map<string, number>()
  let [written, synced, early, acknowledged] = [0, 0, 0, 0]
  for (const line of trace.split('\n')) {
    const [thread = ''] = line.split(' ')
    if (/pwrite64\(\d+<[^>]*-wal>/.test(line)) written += 1
    if (/fsync\(\d+<[^>]*-wal>/.test(line)) syncing.set(thread, written)
    if (/fsync(\(.*| resumed.*)\)\s+= 0$/.test(line)) synced = Math.max(synced, syncing.get(thread) ?? 0)
    if (!/write\(1<.*"yes /.test(line)) continue
    acknowledged += 1
    if (synced < written) early += 1
  }
  expect(acknowledged).toBeGreaterThan(0)
  return early
}
