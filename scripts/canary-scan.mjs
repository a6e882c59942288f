import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'

// Every secret of the tests is a canary: a mark, a name, and random hex. This looks for them in
// what a run printed and left behind, in every spelling that a leak is likely to have.

const MARK = 'CANARY'
/** Of a key that is itself spelled in hex. */
const HEX_MARK = Buffer.from(MARK).toString('hex')
/** Almost half of a canary. The word alone, as it stands in a source, is none. */
const CANARY = /CANARY[a-zA-Z0-9]*[0-9a-f]{10}/
const PIECE = 16 * 1024 * 1024
/** No canary is longer than this in any spelling, so none is lost between two pieces. */
const OVERLAP = 4096

/**
 * @typedef {{ spelling: string, line: number }} Find
 * @typedef {{ name: string, pattern: RegExp, decode: (match: string) => string }} Spelling
 */

/** @type {readonly Spelling[]} */
const SPELLINGS = [
  { name: 'raw', pattern: new RegExp(CANARY, 'g'), decode: (match) => match },
  { name: 'percent-encoded', pattern: percentPattern(), decode: fromPercent },
  ...[MARK, HEX_MARK].flatMap((mark) => [
    {
      name: 'hex',
      pattern: bytesPattern(mark, 16, '[\\s:,]*(?:0x)?'),
      decode: (/** @type {string} */ match) => fromNumbers(match, 16),
    },
    {
      name: 'numbers',
      pattern: bytesPattern(mark, 10, '[\\s,]+(?:"\\d+":\\s*)?'),
      decode: (/** @type {string} */ match) => fromNumbers(match, 10),
    },
    ...[0, 1, 2].map((before) => base64At(mark, before)),
  ]),
]

/**
 * Where canaries are in a text. Never what they are.
 *
 * @param {string} text
 * @param {(name: string) => boolean} [isMeant] Whether a canary of this name is meant to be there.
 * @returns {Find[]}
 */
export function findCanaries(text, isMeant = () => false) {
  return SPELLINGS.flatMap(({ name, pattern, decode }) =>
    [...text.matchAll(pattern)]
      .filter((match) => isCanary(decode(match[0]), isMeant))
      .filter((match) => name === 'raw' || !match[0].includes(MARK))
      .map((match) => ({ spelling: name, line: lineOf(text, match.index) })),
  )
}

/**
 * @param {string} text
 * @param {(name: string) => boolean} isMeant
 */
function isCanary(text, isMeant) {
  if (text.includes(HEX_MARK)) return isCanary(fromNumbers(text.slice(text.indexOf(HEX_MARK)), 16), isMeant)
  const [, ...each] = text.split(MARK)
  return each.some((rest) => {
    const name = /^([a-zA-Z0-9]*?)[0-9a-f]{24}(?![0-9a-f])/.exec(rest)?.[1]
    return CANARY.test(MARK + rest) && !(name !== undefined && isMeant(name))
  })
}

/**
 * @param {string} path
 * @returns {Find[]}
 */
export function scanFile(path) {
  /** @type {Find[]} */
  const finds = []
  let linesBefore = 0
  for (const { text, fresh } of pieces(path)) {
    finds.push(...findCanaries(text).map((find) => ({ ...find, line: find.line + linesBefore })))
    linesBefore += lineOf(text, fresh) - 1
  }
  return finds
}

/**
 * Every file below a folder, save those in which a secret is meant to be.
 *
 * @param {string} folder
 * @param {(path: string) => boolean} [isLookedAt]
 * @returns {{ scanned: number, finds: (Find & { path: string })[] }}
 */
export function scanFolder(folder, isLookedAt = () => true) {
  const paths = readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && !entry.name.includes('.expected-secret'))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(isLookedAt)
  const finds = paths.flatMap((path) => unlessGone(() => scanFile(path)).map((find) => ({ ...find, path })))
  return { scanned: paths.length, finds }
}

/**
 * What ends while it is looked at is not there any more.
 *
 * @template T
 * @param {() => T[]} look
 * @returns {T[]}
 */
function unlessGone(look) {
  try {
    return look()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

/** @param {string} path */
function* pieces(path) {
  const file = openSync(path, 'r')
  try {
    const buffer = Buffer.alloc(PIECE)
    for (let position = 0, kept = ''; ; ) {
      const length = readSync(file, buffer, 0, PIECE, position)
      if (length === 0) return
      position += length
      const text = kept + buffer.toString('latin1', 0, length)
      const fresh = Math.max(0, text.length - OVERLAP)
      yield { text, fresh }
      kept = text.slice(fresh)
    }
  } finally {
    closeSync(file)
  }
}

/**
 * @param {string} text
 * @param {number} index
 */
function lineOf(text, index) {
  let line = 1
  for (let at = text.indexOf('\n'); at !== -1 && at < index; at = text.indexOf('\n', at + 1)) line++
  return line
}

function percentPattern() {
  const letters = [...MARK].map((letter) => `(?:${letter}|%${letter.charCodeAt(0).toString(16)})`)
  return new RegExp(`${letters.join('')}(?:[a-z0-9]|%[0-9a-f]{2})+`, 'gi')
}

/** @param {string} match */
function fromPercent(match) {
  return match.replaceAll(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/**
 * The mark as numbers, as they stand in a hex dump or in a printed buffer, and whatever follows.
 *
 * @param {string} mark
 * @param {10 | 16} base
 * @param {string} between
 */
function bytesPattern(mark, base, between) {
  const numbers = [...mark].map((letter) => letter.charCodeAt(0).toString(base))
  const any = base === 16 ? '[0-9a-f]{2}' : '\\d{1,3}'
  return new RegExp(`${numbers.join(between)}(?:${between}${any})+`, 'gi')
}

/**
 * @param {string} match
 * @param {10 | 16} base
 */
function fromNumbers(match, base) {
  const numbers = match.replaceAll(/"\d+":|0x/g, '').match(base === 16 ? /[0-9a-f]{2}/gi : /\d+/g) ?? []
  return String.fromCharCode(...numbers.map((number) => Number.parseInt(number, base)))
}

/**
 * Base64 spells the mark in three ways, by how many bytes stand before it in its group of three.
 * Letters that depend on its neighbours too are left out of the pattern and filled in for decoding.
 *
 * @param {string} mark
 * @param {number} before
 * @returns {Spelling}
 */
function base64At(mark, before) {
  const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(mark)])
  const letters = bytes.toString('base64')
  const own = Math.ceil((before * 8) / 6)
  const known = letters.slice(own, Math.floor((bytes.length * 8) / 6))
  return {
    name: 'base64',
    pattern: new RegExp(`${known}[A-Za-z0-9+/_-]+`, 'g'),
    decode: (match) =>
      Buffer.from(letters.slice(0, own) + match, 'base64')
        .toString('latin1')
        .slice(before),
  }
}
