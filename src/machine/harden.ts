import inspector from 'node:inspector'
import { ValetkeyError } from '#client'
import { native } from './native.ts'

export interface Hardening {
  readonly done: readonly string[]
  /** What this platform has no means for. */
  readonly lacking: readonly string[]
}

const PR_GET_DUMPABLE = 3
const PR_SET_DUMPABLE = 4
const RLIMIT_CORE = 4
/** Soft and hard limit, eight bytes each. */
const NO_BYTES = new Uint8Array(16)

/** Options of node that open the process, or write its memory, its environment or the keys of its connections out. */
const OPENING = /^--(inspect|heapsnapshot|heap-prof|report-on|report-uncaught|tls-keylog|trace-tls)/

/**
 * Closes this process to others of the same user, who could otherwise read every secret out of its
 * memory. Throws `config-invalid` when it was started open; what a platform lacks is only said.
 */
export function harden(): Hardening {
  refuseOpenStart()
  const done: string[] = []
  const lacking: string[] = []
  const say = (worked: boolean, words: string) => (worked ? done : lacking).push(words)
  say(closeMemory(), 'memory is closed to other processes of this user')
  say(native()?.setrlimit(RLIMIT_CORE, NO_BYTES) === 0, 'no core dumps are written')
  say(closeDebugger(), 'the debugger cannot be opened by a signal')
  return { done, lacking }
}

function refuseOpenStart(): void {
  const given = [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(/[\s"']+/)]
  const open = given.find((option) => OPENING.test(option.replaceAll('_', '-')))
  if (open === undefined && inspector.url() === undefined) return
  const what = open === undefined ? 'with its debugger open' : `with ${open.split('=')[0]}`
  throw new ValetkeyError('config-invalid', `node was started ${what}, which opens every secret`, {
    hint: 'start valetkey without this option, and look into NODE_OPTIONS',
  })
}

/** Neither the memory of this process nor the environment it was started with is read by others from here on. */
export function closeMemory(): boolean {
  const prctl = native()?.prctl
  if (!prctl) return false
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
  return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) === 0
}

/** With a listener of ours on it, node's own no longer gets the signal. */
function closeDebugger(): boolean {
  if (process.platform === 'win32') return false
  if (!process.listeners('SIGUSR1').includes(ignored)) process.on('SIGUSR1', ignored)
  return true
}

function ignored(): void {}
