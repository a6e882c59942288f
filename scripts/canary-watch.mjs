import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { findCanaries } from './canary-scan.mjs'

// What a process was started with is seen by every program of the same person, and often by
// everybody. This looks at it while the tests run. Only Linux shows it without asking the process.

/** Often enough for whatever lives as long as it takes to start a Node. */
const EVERY_MS = 50

/**
 * Canaries that are meant to be there, by their names, each with its reason. What only a person who asks for it
 * would put there is meant; whatever Valetkey itself puts there is not.
 *
 * @type {Meant}
 */
export const MEANT = {
  argv: { plantedargv: 'a leak that the test of this watch plants' },
  environment: {
    plantedenvironment: 'a leak that the test of this watch plants',
    plantedargv: 'what a shell was told by a test that looks whether it is told on',
    passphrase: 'VALETKEY_PASSPHRASE is one of the ways to tell a passphrase',
    otherpassphrase: 'a wrong passphrase, told in the same way',
    postgres: 'DATABASE_URL holds the password of the database',
    postgreslogin: 'the same, of a login that is nobody but a broker',
    revealed: 'a secret that valetkey run --reveal was told to hand to a program',
    mk: 'VALETKEY_KEY is the master key where the key source is the environment',
  },
}

/**
 * @typedef {{ channel: 'argv' | 'environment', place: string, command: string, spelling: string }} ProcessFind
 * @typedef {Readonly<Record<'argv' | 'environment', Readonly<Record<string, string>>>>} Meant
 * @typedef {{ seen: number, unread: number, finds: ProcessFind[] }} Watched
 */

export const canWatch = process.platform === 'linux'

/**
 * Looks at all that descend from a process, and at all that carry `mark` in their environment, for
 * those who have left their parents.
 *
 * @param {number} ancestor
 * @param {string} mark
 * @param {Meant} [meant]
 * @returns {{ look: () => Watched, stop: () => Watched }}
 */
export function watchProcesses(ancestor, mark, meant = MEANT) {
  /** @type {Map<string, { ours: boolean, argv: string, environment: string | undefined }>} */
  const known = new Map([[String(ancestor), { ours: true, argv: '', environment: '' }]])
  /** @type {Map<string, ProcessFind>} */
  const finds = new Map()
  let [seen, unread] = [0, 0]

  function look() {
    const alive = new Set(readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    for (const pid of known.keys()) if (!alive.has(pid)) known.delete(pid)
    for (const pid of alive) meet(pid)
    return { seen, unread, finds: [...finds.values()] }
  }

  /** @param {string} pid */
  function meet(pid) {
    const before = known.get(pid)
    // Whether somebody is ours is decided once; what he was started with changes when he becomes another program.
    if (before?.ours === false) return
    const argv = readOf(pid, 'cmdline') ?? ''
    const environment = readOf(pid, 'environ')
    const ours = before?.ours ?? (environment?.includes(mark) || known.get(parentOf(pid))?.ours === true)
    known.set(pid, { ours, argv, environment })
    if (!ours) return
    if (before === undefined) seen += 1
    if (before === undefined && environment === undefined) unread += 1
    if (argv !== before?.argv) judge('argv', argv, argv)
    if (environment !== before?.environment) judge('environment', argv, environment ?? '')
  }

  /**
   * @param {'argv' | 'environment'} channel
   * @param {string} argv
   * @param {string} text
   */
  function judge(channel, argv, text) {
    const command = calledIn(argv)
    for (const [at, word] of text.split('\0').entries()) {
      const place = channel === 'argv' ? `word ${at}` : (word.split('=')[0] ?? '')
      for (const { spelling } of findCanaries(word, (name) => Object.hasOwn(meant[channel], name))) {
        const find = { channel, place: findCanaries(place).length > 0 ? 'a name' : place, command, spelling }
        finds.set(Object.values(find).join(' '), find)
      }
    }
  }

  const timer = setInterval(look, EVERY_MS)
  look()
  return {
    look,
    stop: () => {
      clearInterval(timer)
      return look()
    },
  }
}

/**
 * Enough of it to find out who started it, and nothing that was to be kept.
 *
 * @param {string} argv
 */
function calledIn(argv) {
  const [command = '', ...words] = argv.split('\0').filter((word) => findCanaries(word).length === 0)
  const file = words.find((word) => /^[\w./@-]{1,200}\.[cm]?[jt]s$/.test(word))
  return [command, ...(file ? [file] : [])].map((word) => basename(word)).join(' ')
}

/**
 * @param {string} pid
 * @param {'cmdline' | 'environ' | 'stat'} file
 */
function readOf(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    // Gone already, or not ours to see.
    return undefined
  }
}

/** @param {string} pid */
function parentOf(pid) {
  const stat = readOf(pid, 'stat') ?? ''
  // Behind the name, which may itself hold brackets and blanks.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? ''
}
