import { spawnSync } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'

/** Where a call begins, what it gives away is on its way; where it is done, what it brings is there. */
export interface TracedCall {
  readonly at: 'begin' | 'done'
  readonly name: string
  /** The file or socket that it is about. */
  readonly path: string
  /** What was read or written, a character for each byte. A read has none before it is done. */
  readonly bytes: string
  readonly thread: string
  readonly failed: boolean
}

const CALLS = 'read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,fsync,fdatasync'
/** More than a page of the database, or a head with its answer. */
const MOST_BYTES = '5000'

/** What a command is started through so that its calls are written down. */
export function tracedTo(file: string): readonly string[] {
  const what = ['-e', `trace=${CALLS}`, '-s', MOST_BYTES, '-xx', '-yy']
  return ['strace', '-f', '-qq', '--seccomp-bpf', '-o', file, ...what]
}

export function whyNoTrace(): string | undefined {
  const tried = spawnSync('strace', ['-f', '-qq', '--seccomp-bpf', '-e', 'trace=fsync', 'true'])
  if (tried.status !== 0) return 'not run: strace is not installed here, or not allowed'
  // A broker closes its memory to other processes of its user.
  return process.getuid?.() === 0 ? undefined : 'not run: only root sees what a broker reads and writes'
}

// A line is: thread | name( | number<path> | the rest. With `-xx` bytes and the paths of files are all `\x00`.
const LINE = /^(\d+)\s+(\w+)\(\d+<(.*?)>([,)].*)$/
const LATER = /^(\d+)\s+<\.\.\. \w+ resumed>(.*)$/
const UNFINISHED = /\s*<unfinished \.\.\.>$/
const READS = /^(read|recv)/

/** In the order in which things happened. A call that another thread came between stands there twice. */
export async function* callsIn(file: string): AsyncGenerator<TracedCall> {
  const begun = new Map<string, string>()
  for await (const line of createInterface({ input: createReadStream(file, 'latin1') })) {
    if (UNFINISHED.test(line)) {
      const half = line.replace(UNFINISHED, '')
      begun.set(half.split(' ')[0] ?? '', half)
      yield* callIn(half, ['begin'])
      continue
    }
    const [, thread = '', rest = ''] = LATER.exec(line) ?? []
    if (thread === '') yield* callIn(line, ['begin', 'done'])
    else yield* callIn(`${begun.get(thread)}${rest}`, ['done'])
  }
}

function* callIn(line: string, steps: readonly TracedCall['at'][]): Generator<TracedCall> {
  // What begins and has not come to its paths' end is about nothing that is looked for.
  const [, thread, name, path, rest] = LINE.exec(line.endsWith('>') ? `${line},` : line) ?? []
  if (thread === undefined || name === undefined || path === undefined || rest === undefined) return
  const isRead = READS.test(name)
  const found = { thread, name, path: decoded(path), failed: /= -1 /.test(rest) }
  const bytes = [...rest.matchAll(/"([^"]*)"/g)].map(([, text = '']) => decoded(text)).join('')
  for (const at of steps) yield { ...found, at, bytes: isRead && at === 'begin' ? '' : bytes }
}

function decoded(text: string): string {
  return text.replace(/(?:\\x[0-9a-f]{2})+/g, (hex) =>
    Buffer.from(hex.replaceAll('\\x', ''), 'hex').toString('latin1'),
  )
}
