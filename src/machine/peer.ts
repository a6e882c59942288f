import { readFileSync, readlinkSync } from 'node:fs'
import type { Socket } from 'node:net'
import { type Native, native } from './native.ts'

/** Who stands at the other end of a Unix socket, as the kernel says it. */
export interface Peer {
  readonly uid: number
  /** For display and the record only: the number may meanwhile be another process's. */
  readonly pid: number
  readonly executable?: string
  readonly startedAt?: Date
}

// Linux: struct ucred is pid, uid, gid, four bytes each.
const LINUX = { level: 1, peerCred: 17, bytes: 12 } as const
// macOS: struct xucred is version (4), uid (4), and groups.
const MACOS = { level: 0, peerCred: 1, peerPid: 2, bytes: 76 } as const
const NOBODY_AT_ALL = 0xffff_ffff

/** The kernel counts process starts in these on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

/** Undefined wherever the kernel does not say; whoever asks must then refuse. */
export function peerOf(socket: Socket): Peer | undefined {
  const calls = native()
  const fd = fdOf(socket)
  if (!calls || fd === undefined) return undefined
  if (process.platform === 'linux') return onLinux(calls, fd)
  if (process.platform === 'darwin') return onMacos(calls, fd)
  return undefined
}

function fdOf(socket: Socket): number | undefined {
  const { _handle } = socket as { _handle?: { fd?: number } | null }
  const fd = _handle?.fd
  return fd !== undefined && fd >= 0 ? fd : undefined
}

function onLinux(calls: Native, fd: number): Peer | undefined {
  const found = ask(calls, fd, LINUX.level, LINUX.peerCred, LINUX.bytes)
  const uid = found?.readUInt32LE(4)
  if (!found || uid === undefined || uid === NOBODY_AT_ALL) return undefined
  const pid = found.readInt32LE(0)
  return { uid, pid, ...processOf(pid) }
}

function onMacos(calls: Native, fd: number): Peer | undefined {
  const who = ask(calls, fd, MACOS.level, MACOS.peerCred, MACOS.bytes)
  const pid = ask(calls, fd, MACOS.level, MACOS.peerPid, 4)
  return who && pid && who.readUInt32LE(0) === 0
    ? { uid: who.readUInt32LE(4), pid: pid.readInt32LE(0) }
    : undefined
}

function ask(calls: Native, fd: number, level: number, name: number, bytes: number): Buffer | undefined {
  const value = Buffer.alloc(bytes)
  const length: [number] = [bytes]
  return calls.getsockopt(fd, level, name, value, length) === 0 && length[0] > 0 ? value : undefined
}

/** What /proc tells of a process; nothing of one that is gone or closed to us. */
function processOf(pid: number): Pick<Peer, 'executable' | 'startedAt'> {
  if (pid <= 0) return {}
  const executable = attempt(() => readlinkSync(`/proc/${pid}/exe`))
  const startedAt = attempt(() => startOf(pid))
  return { ...(executable && { executable }), ...(startedAt && { startedAt }) }
}

function startOf(pid: number): Date | undefined {
  // The name in brackets may hold blanks and brackets of its own; the fields are counted after it.
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  const boot = Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'latin1'))?.[1])
  const started = new Date((boot + ticks / TICKS_PER_SECOND) * 1000)
  return Number.isNaN(started.getTime()) ? undefined : started
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
