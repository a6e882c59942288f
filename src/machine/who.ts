import { readFileSync, readlinkSync, statSync } from 'node:fs'
import { basename, isAbsolute, resolve } from 'node:path'
import type { Who } from '#client'
import type { Proof } from '../model/caller.ts'

/** Further up there is only what starts everything. */
const MOST_PARENTS = 8
const LONGEST_NAME = 200
const FIRST_PROCESS = 1
/** The kernel counts process starts in hundredths of a second, and the clock they are told by may be adjusted. */
const SAME_START_MS = 1000

/** They run what they are told to, so their own name says little. */
const INTERPRETER = /^(?:node|nodejs|bun|deno|python[\d.]*|ruby|perl|php|bash|sh|dash|zsh)$/
/** What comes after these is no file but the program itself, and may hold anything. */
const PROGRAM_FOLLOWS = /^(?:-[a-z]*[cepm]|-E|--(?:eval|print|command)(?:=.*)?)$/
/** A word of theirs comes after these, and then the script. */
const WORD_FOLLOWS = /^(?:-[rCWXo]|--(?:require|import|loader|conditions|env-file))$/

/** What the kernel tells of one process. */
interface Process {
  readonly pid: number
  readonly parent: number
  readonly startedAt: number
  readonly name: string
}

/**
 * Which program stands behind a connection, and what started it. It is for a person to read: names of programs,
 * and of the script that one of them runs, and nothing else of what they were started with. Where a process is
 * gone or closed to us less is known; a process that only took over a number is nobody's parent.
 */
export function whoIs({ door, uid, pid, executable, startedAt }: Proof): Who {
  const first = pid === undefined ? undefined : attempt(() => readProcess(pid))
  const isSame =
    first !== undefined && startedAt !== undefined && isAbout(first.startedAt, startedAt.getTime())
  const known = isSame ? first : undefined
  const run = known && programOf(known.pid, executable)
  return {
    door,
    executable: run ?? (executable === undefined ? null : printable(executable)),
    chain: known === undefined ? [] : parentsOf(known),
    uid: uid ?? null,
    pid: pid ?? null,
  }
}

function parentsOf(child: Process): readonly string[] {
  const chain: string[] = []
  const seen = new Set([child.pid])
  for (let below = child; chain.length < MOST_PARENTS; ) {
    const { parent } = below
    if (parent <= FIRST_PROCESS || seen.has(parent)) break
    const above = attempt(() => readProcess(parent))
    // A parent is older than its child; a younger one has got the number of one that is gone.
    if (above === undefined || above.startedAt > below.startedAt) break
    // Its name is whatever it gave itself, and not to be taken for that of its program.
    chain.push(programOf(above.pid, undefined) ?? `[${printable(above.name)}]`)
    seen.add(parent)
    below = above
  }
  return chain
}

/** The executable, and the script where it is an interpreter of one. */
function programOf(pid: number, proved: string | undefined): string | undefined {
  const executable = proved ?? attempt(() => readlinkSync(`/proc/${pid}/exe`))
  if (executable === undefined) return undefined
  const script = INTERPRETER.test(basename(executable)) ? attempt(() => scriptOf(pid)) : undefined
  return [executable, ...(script === undefined ? [] : [script])].map(printable).join(' ')
}

/** The first word that is no option, where it names a file that is there. No other word is looked at. */
function scriptOf(pid: number): string | undefined {
  const [, ...words] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  const first = words.find(
    (word, at) =>
      PROGRAM_FOLLOWS.test(word) || !(word.startsWith('-') || WORD_FOLLOWS.test(words[at - 1] ?? '')),
  )
  if (first === undefined || first === '' || first.startsWith('-')) return undefined
  const path = isAbsolute(first) ? first : resolve(readlinkSync(`/proc/${pid}/cwd`), first)
  return statSync(path).isFile() ? path : undefined
}

function readProcess(pid: number): Process | undefined {
  // The name in brackets may hold blanks and brackets of its own; the fields are counted after it.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [open, close] = [stat.indexOf('('), stat.lastIndexOf(')')]
  const fields = stat.slice(close + 2).split(' ')
  const boot = Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'latin1'))?.[1])
  const [parent, startedAt] = [Number(fields[1]), boot * 1000 + Number(fields[19]) * 10]
  if (!Number.isInteger(parent) || Number.isNaN(startedAt)) return undefined
  return { pid, parent, startedAt, name: stat.slice(open + 1, close) }
}

function isAbout(one: number, other: number): boolean {
  return Math.abs(one - other) < SAME_START_MS
}

/**
 * A program is named by whoever made it; what it is called does nothing to the terminal it is shown on. A blank
 * before a slash stands between a program and its script, and nowhere else.
 */
function printable(name: string): string {
  return name
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .replaceAll(' /', '?/')
    .slice(0, LONGEST_NAME)
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
