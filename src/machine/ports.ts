import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename } from 'node:path'

/** Ports above 1024 that browsers refuse to open. */
export const REFUSED_BY_BROWSERS: ReadonlySet<number> = new Set([
  1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697,
  10080,
])

// proc_pid_net(5): in each line of /proc/net/tcp the fields are slot, local address, remote address,
// state, queues, timer, retransmits, uid, timeout, inode. Addresses are hex, the port after a colon.
interface Line {
  readonly local: string
  readonly remote: string
  readonly port: number
  readonly listening: boolean
  readonly uid: number
  readonly inode: string
}

const LISTENING = '0A'

async function lines(): Promise<readonly Line[]> {
  const files = ['/proc/net/tcp', '/proc/net/tcp6'].map((file) => readFile(file, 'utf8').catch(() => ''))
  const texts = await Promise.all(files)
  return texts.flatMap((text) => text.split('\n').slice(1).filter(Boolean).map(lineOf))
}

function lineOf(text: string): Line {
  const [, local = '', remote = '', state = '', , , , uid = '', , inode = ''] = text.trim().split(/\s+/)
  return {
    local,
    remote,
    port: Number.parseInt(local.split(':')[1] ?? '', 16),
    listening: state === LISTENING,
    uid: Number(uid),
    inode,
  }
}

/** Nobody's any more: who made the connection has let go of it, and cannot be named. */
const NO_ONE = -1
const LET_GO = '0'

/** The ends of a connection, as our side of it has them. */
export interface Ends {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
}

/**
 * Whose a connection of this computer to one of our ports is; undefined where the system does not tell.
 * Both ends count whole: by the ports alone our own side could be taken for the other one. One that was
 * let go of is no one's: the kernel would say that it is root's.
 */
export async function userOfConnection(ends: Ends): Promise<number | undefined> {
  const all = await lines()
  if (all.length === 0) return undefined
  const [theirs, ours] = [
    written(ends.remoteAddress, ends.remotePort),
    written(ends.localAddress, ends.localPort),
  ]
  const found = all.find(({ local, remote }) => local === theirs && remote === ours)
  return found === undefined || found.inode === LET_GO ? NO_ONE : found.uid
}

const V6_LOOPBACK = '00000000000000000000000001000000'

/** As the kernel writes it: each four bytes as one number of this computer, which has its low byte first. */
function written(address = '', port = 0): string {
  const bytes = address.replace('::ffff:', '').split('.').map(Number)
  const hex = (number: number, digits: number) => number.toString(16).toUpperCase().padStart(digits, '0')
  const host =
    address === '::1'
      ? V6_LOOPBACK
      : bytes
          .toReversed()
          .map((byte) => hex(byte, 2))
          .join('')
  return `${host}:${hex(port, 4)}`
}

/** Which program listens on a port, by its name and, where it is not ours, its user; undefined where nobody does. */
export async function holderOfPort(port: number): Promise<string | undefined> {
  const [found, ...others] = (await lines()).filter((line) => line.listening && line.port === port)
  if (found === undefined) return undefined
  const program = (await programHolding([found, ...others].map(({ inode }) => inode))) ?? 'a program'
  return found.uid === process.getuid?.() ? program : `${program} of user ${found.uid}`
}

async function programHolding(inodes: readonly string[]): Promise<string | undefined> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  for (const pid of processes) {
    if (!(await holdsOneOf(pid, inodes))) continue
    return `${await nameOf(pid)} (process ${pid})`
  }
  return undefined
}

/** By its file, as far as that may be seen: a process can call itself anything. */
async function nameOf(pid: string): Promise<string> {
  const file = await readlink(`/proc/${pid}/exe`).catch(() => '')
  const name = file || (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => ''))
  return basename(name.trim()) || 'a program'
}

async function holdsOneOf(pid: string, inodes: readonly string[]): Promise<boolean> {
  const open = await readdir(`/proc/${pid}/fd`).catch(() => [])
  const links = await Promise.all(open.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
  return links.some((link) => inodes.some((inode) => link === `socket:[${inode}]`))
}
