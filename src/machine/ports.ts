import { readdir, readFile, readlink } from 'node:fs/promises'

/** Ports above 1024 that browsers refuse to open. */
export const REFUSED_BY_BROWSERS: ReadonlySet<number> = new Set([
  1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697,
  10080,
])

// proc_pid_net(5): in each line of /proc/net/tcp the fields are slot, local address, remote address,
// state, queues, timer, retransmits, uid, timeout, inode. Addresses are hex, the port after a colon.
interface Line {
  readonly port: number
  readonly remotePort: number
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
  const port = (address: string) => Number.parseInt(address.split(':')[1] ?? '', 16)
  return {
    port: port(local),
    remotePort: port(remote),
    listening: state === LISTENING,
    uid: Number(uid),
    inode,
  }
}

/** Whose a connection of this computer to one of our ports is; undefined where the system does not tell. */
export async function userOfConnection(theirPort: number, ourPort: number): Promise<number | undefined> {
  const found = (await lines()).find(({ port, remotePort }) => port === theirPort && remotePort === ourPort)
  return found?.uid
}

/** Which program listens on a port, by its name; undefined where that cannot be seen. */
export async function holderOfPort(port: number): Promise<string | undefined> {
  const inodes = (await lines())
    .filter((line) => line.listening && line.port === port)
    .map(({ inode }) => inode)
  if (inodes.length === 0) return undefined
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  for (const pid of processes) {
    if (!(await holdsOneOf(pid, inodes))) continue
    const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim()
    return `${name} (process ${pid})`
  }
  return undefined
}

async function holdsOneOf(pid: string, inodes: readonly string[]): Promise<boolean> {
  const open = await readdir(`/proc/${pid}/fd`).catch(() => [])
  const links = await Promise.all(open.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
  return links.some((link) => inodes.some((inode) => link === `socket:[${inode}]`))
}
