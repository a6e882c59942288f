import { Transform } from 'node:stream'

/** What stands in the place of a secret. */
const MASK = Buffer.from('[secret]')
/** Whoever masks shorter values masks half of every text. */
const SHORTEST = 5
/**
 * What may become a secret is held back. A prompt that happens to end so shall be seen whole all the same,
 * and so this much is let go after a while; should it become a secret in the end, its rest is masked.
 */
const LET_GO = 3
const PATIENCE_MS = 40

/** Bytes that pass through with every secret masked, wherever they are cut into chunks. */
export interface Mask {
  pass(chunk: Uint8Array): Uint8Array
  /** When nothing came for a while. */
  idle(): Uint8Array
  end(): Uint8Array
}

export function maskOf(secrets: readonly string[]): Mask {
  const needles = needlesOf(secrets)
  let held: Uint8Array = new Uint8Array()
  /** How many bytes of what is held were let go already. */
  let gone = 0

  function take(text: Buffer, until: (from: number) => number): Uint8Array {
    const find = finder(needles, text)
    const told: Uint8Array[] = []
    let at = 0
    for (let found = find(at); found !== undefined && found.at < until(at); found = find(at)) {
      told.push(text.subarray(Math.max(at, gone), Math.max(found.at, gone)), MASK)
      at = found.at + found.length
    }
    const end = until(at)
    told.push(text.subarray(Math.max(at, gone), Math.max(end, gone)))
    held = text.subarray(end)
    gone = Math.max(0, gone - end)
    return Buffer.concat(told)
  }

  return {
    pass(chunk) {
      const text = Buffer.concat([held, chunk])
      return take(text, (from) => beginning(needles, text, from))
    },
    idle() {
      const before = gone
      gone = Math.max(gone, Math.min(held.length, LET_GO))
      return held.subarray(before, gone)
    },
    end: () => take(Buffer.from(held), () => held.length),
  }
}

/** The same as a stream, which holds nothing back that is not the beginning of a secret. */
export function masking(secrets: readonly string[]): Transform {
  const mask = maskOf(secrets)
  let waiting: NodeJS.Timeout | undefined
  return new Transform({
    transform(chunk: Uint8Array, _, done) {
      clearTimeout(waiting)
      waiting = setTimeout(() => this.push(mask.idle()), PATIENCE_MS).unref()
      done(null, mask.pass(chunk))
    },
    flush(done) {
      clearTimeout(waiting)
      done(null, mask.end())
    },
    destroy(error, done) {
      clearTimeout(waiting)
      done(error)
    },
  })
}

/** The longest first: of two that begin at the same place it is the one that counts. */
function needlesOf(secrets: readonly string[]): readonly Buffer[] {
  const spellings = secrets.filter((secret) => secret.length >= SHORTEST).flatMap(spellingsOf)
  return [...new Set(spellings)].map((text) => Buffer.from(text)).toSorted((a, b) => b.length - a.length)
}

function spellingsOf(secret: string): readonly string[] {
  const percent = encodeURIComponent(secret)
  const hex = Buffer.from(secret).toString('hex')
  const base64 = [0, 1, 2].map((before) => inBase64(secret, before))
  return [
    secret,
    JSON.stringify(secret).slice(1, -1),
    percent,
    percent.replaceAll(/%../g, (one) => one.toLowerCase()),
    percent.replaceAll('%20', '+'),
    hex,
    hex.toUpperCase(),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ]
}

/** Those characters of it that are the same whatever stands around it, behind so many bytes of a group of three. */
function inBase64(secret: string, before: number): string {
  const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)])
  const whole = Math.floor((bytes.length * 8) / 6)
  return bytes.toString('base64').slice(Math.ceil((before * 8) / 6), whole)
}

/** Where the next secret is that lies whole in a text. It is asked from left to right. */
function finder(needles: readonly Buffer[], text: Buffer) {
  const next = needles.map((needle) => text.indexOf(needle))
  return (from: number): { readonly at: number; readonly length: number } | undefined => {
    let first: { readonly at: number; readonly length: number } | undefined
    for (const [index, needle] of needles.entries()) {
      let at = next[index] ?? -1
      if (at !== -1 && at < from) at = text.indexOf(needle, from)
      next[index] = at
      if (at !== -1 && (first === undefined || at < first.at)) first = { at, length: needle.length }
    }
    return first
  }
}

/** From where on a text may be the beginning of a secret; its length, where it is not. */
function beginning(needles: readonly Buffer[], text: Buffer, from: number): number {
  return Math.min(text.length, ...needles.map((needle) => beginningOf(needle, text, from)))
}

function beginningOf(needle: Buffer, text: Buffer, from: number): number {
  const first = needle[0] ?? 0
  let at = text.indexOf(first, Math.max(from, text.length - needle.length + 1))
  while (at !== -1 && !text.subarray(at).equals(needle.subarray(0, text.length - at)))
    at = text.indexOf(first, at + 1)
  return at === -1 ? text.length : at
}
