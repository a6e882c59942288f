import { createHash } from 'node:crypto'
import { posix, win32 } from 'node:path'
import { ValetkeyError } from '#client'

export interface Paths {
  readonly config: string
  /** Where the vault lies. The master key is never in here, so a copied vault does not bring it along. */
  readonly state: string
  readonly run: string
  readonly vaultFile: string
  readonly keyFolder: string
  readonly configFile: string
  readonly anchorFile: string
  readonly providersFolder: string
  readonly socket: string
}

export interface Whereabouts {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly platform: NodeJS.Platform
  readonly home: string
  /** Undefined where the system has no such numbers. */
  readonly uid: number | undefined
  /** An application that keeps a vault of its own. */
  readonly app?: string
}

interface Roots {
  readonly config: string
  readonly state: string
  readonly run: string
}

/** Some systems take no more than 104 bytes for a socket's path, its closing zero included. */
const SOCKET_BYTES = 100

// Lower case only and no dot at the end, since some file systems would take two such names for one.
const APP = /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/
const DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/

export function pathsOf(here: Whereabouts): Paths {
  const path = here.platform === 'win32' ? win32 : posix
  const below = here.app === undefined ? [] : ['apps', appName(here.app)]
  const { config, state, run } = rootsOf(here)
  const folders = {
    config: path.join(config, ...below),
    state: path.join(state, ...below),
    run: path.join(run, ...below),
  }
  const keyFolder = path.join(folders.config, 'keys')
  refuseKeyInData(here, keyFolder, folders.state)
  return {
    ...folders,
    keyFolder,
    vaultFile: path.join(folders.state, 'vault.db'),
    configFile: path.join(folders.config, 'config.json'),
    anchorFile: path.join(keyFolder, 'anchor'),
    providersFolder: path.join(folders.config, 'providers'),
    socket: socketOf(here, folders),
  }
}

function rootsOf(here: Whereabouts): Roots {
  const path = here.platform === 'win32' ? win32 : posix
  const moved = here.env['VALETKEY_HOME']
  if (!moved) {
    const roots = systemRoots(here)
    // By the vault's own folder: whoever has another HOME meets another broker.
    return { ...roots, run: path.join(runtimeFolder(here), digest(roots.state)) }
  }
  const home = path.resolve(moved)
  return { config: path.join(home, 'config'), state: path.join(home, 'data'), run: path.join(home, 'run') }
}

function systemRoots(here: Whereabouts): Omit<Roots, 'run'> {
  switch (here.platform) {
    case 'win32':
      return {
        config: win32.join(here.env['APPDATA'] || win32.join(here.home, 'AppData', 'Roaming'), 'valetkey'),
        state: win32.join(here.env['LOCALAPPDATA'] || win32.join(here.home, 'AppData', 'Local'), 'valetkey'),
      }
    case 'darwin': {
      const support = posix.join(here.home, 'Library', 'Application Support', 'valetkey')
      return { config: posix.join(support, 'config'), state: posix.join(support, 'data') }
    }
    default:
      return {
        config: posix.join(
          absolute(here.env['XDG_CONFIG_HOME']) ?? posix.join(here.home, '.config'),
          'valetkey',
        ),
        state: posix.join(
          absolute(here.env['XDG_DATA_HOME']) ?? posix.join(here.home, '.local/share'),
          'valetkey',
        ),
      }
  }
}

/** The XDG specification says to ignore what is not absolute. */
function absolute(folder: string | undefined): string | undefined {
  return folder && posix.isAbsolute(folder) ? folder : undefined
}

function runtimeFolder(here: Whereabouts): string {
  if (here.platform === 'win32') return win32.join(systemRoots(here).state, 'run')
  const runtime = absolute(here.env['XDG_RUNTIME_DIR'])
  if (runtime) return posix.join(runtime, 'valetkey')
  return posix.join(absolute(here.env['TMPDIR']) ?? '/tmp', `valetkey-${here.uid ?? 'shared'}`)
}

function socketOf(here: Whereabouts, folders: Roots): string {
  // The second is what programs of the convention that our sockets speak look for.
  const named = here.env['VALETKEY_SOCKET'] || here.env['LLXPRT_CREDENTIAL_SOCKET']
  if (here.platform === 'win32') return named || String.raw`\\.\pipe\valetkey-${digest(folders.state)}`
  if (named) return posix.resolve(named)
  const natural = posix.join(folders.run, 'valetkey.sock')
  const short = `${digest(natural)}.sock`
  const lastResort = posix.join('/tmp', `valetkey-${here.uid ?? 'shared'}`, short)
  const candidates = [natural, posix.join(runtimeFolder(here), short)]
  return candidates.find((path) => Buffer.byteLength(path) <= SOCKET_BYTES) ?? lastResort
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

function appName(app: string): string {
  if (APP.test(app) && !DEVICE.test(app)) return app
  throw new ValetkeyError('invalid-request', `"${app}" cannot be the name of an app`, {
    hint: 'use lower-case letters, digits, ".", "_" and "-", with a letter or a digit at both ends',
  })
}

function refuseKeyInData(here: Whereabouts, keyFolder: string, state: string): void {
  const { relative, isAbsolute } = here.platform === 'win32' ? win32 : posix
  const inside = relative(state, keyFolder)
  if (inside.startsWith('..') || isAbsolute(inside)) return
  throw new ValetkeyError('config-invalid', `the key would lie in the data folder ${state}`, {
    hint: 'set XDG_CONFIG_HOME and XDG_DATA_HOME to folders apart from each other',
  })
}
