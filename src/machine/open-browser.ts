import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { join } from 'node:path'
import { ValetkeyError } from '#client'
import { writeWhole } from './files.ts'

type Env = Readonly<Record<string, string | undefined>>

export interface BrowserOptions {
  readonly env: Env
  readonly platform: NodeJS.Platform
  /** Ours alone. */
  readonly folder: string
  readonly spawn?: (command: string, args: readonly string[], options: SpawnOptions) => ChildProcess
}

const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost'])

/** An opener that finds no browser says so within this time. */
const PATIENCE_MS = 1000

/**
 * Shows a link to the person, and does not wait for the browser. A link may be a secret, and an argument
 * can be read by every user of the computer, so the opener is given a file that only we may read and
 * that leads to the link.
 */
export async function openBrowser(url: URL, options: BrowserOptions): Promise<void> {
  judge(url)
  const file = join(options.folder, 'open.html')
  await writeWhole(file, new TextEncoder().encode(leadingTo(url)))
  await handOver(file, options)
}

/** Whether there is a browser that a person here would see: over SSH it would open at the far end. */
export function hasBrowser({ env, platform }: Pick<BrowserOptions, 'env' | 'platform'>): boolean {
  const hasDisplay = Boolean(env['DISPLAY'] || env['WAYLAND_DISPLAY'])
  if (env['BROWSER'] || hasDisplay) return true
  return (platform === 'darwin' || platform === 'win32') && !env['SSH_CONNECTION']
}

/** A URL as it is printed holds no quotes and no angle brackets but in its fragment. */
function leadingTo({ href }: URL): string {
  const link = href.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')
  return `<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=${link}"><title>valetkey</title>`
}

async function handOver(what: string, options: BrowserOptions): Promise<void> {
  const [command, ...args] = openerOf(options)
  const child = (options.spawn ?? spawn)(command, [...args, what], {
    detached: true,
    stdio: 'ignore',
    env: withoutOurs(options.env),
  })
  child.unref()
  if (!(await took(child))) throw unavailable()
}

/** Other schemes start other programs, and plain http elsewhere would show the link to the network. */
function judge(url: URL): void {
  const fit = url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.has(url.hostname))
  if (fit && url.username === '' && url.password === '') return
  throw new ValetkeyError('invalid-request', `a ${url.protocol} link to "${url.hostname}" is not opened`)
}

function openerOf({ env, platform }: BrowserOptions): readonly [string, ...string[]] {
  switch (platform) {
    case 'darwin':
      return ['open']
    case 'win32':
      return ['rundll32', 'url.dll,FileProtocolHandler']
    default:
      // A remote editor or a container names its own opener, and has no display.
      if (env['BROWSER'] && /^[\w./+-]+$/.test(env['BROWSER'])) return [env['BROWSER']]
      if (env['DISPLAY'] || env['WAYLAND_DISPLAY']) return ['xdg-open']
      throw unavailable()
  }
}

/** A browser needs nothing of what Valetkey was told, a key least of all. */
function withoutOurs(env: Env): NodeJS.ProcessEnv {
  const ours = (name: string) => /^(VALETKEY_|DATABASE_URL$)/i.test(name)
  return Object.fromEntries(Object.entries(env).filter(([name]) => !ours(name)))
}

/** True when it started, and did not fail at once. */
function took(child: ChildProcess): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, PATIENCE_MS, true)
    const settle = (answer: boolean) => {
      clearTimeout(timer)
      resolve(answer)
    }
    child.once('error', () => settle(false))
    child.once('exit', (code) => settle(code === 0))
  })
}

function unavailable(): ValetkeyError {
  return new ValetkeyError('browser-unavailable', 'no browser could be opened here', {
    hint: 'open the link by hand, on this computer',
  })
}
