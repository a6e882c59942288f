import { randomBytes } from 'node:crypto'

/** The mark by which the scan over a whole test run finds a secret that got away. */
export const CANARY_MARK = 'CANARY'

/** A secret for a test: unique, and found again wherever it should not be. */
export function canary(name: string): string {
  return `${CANARY_MARK}${name.replaceAll(/[^a-zA-Z0-9]/g, '')}${randomBytes(12).toString('hex')}`
}

/** The same of a given length, for a key that is spelled in digits of its own: `canaryBytes('', 16).toString('hex')`. */
export function canaryBytes(name: string, length: number): Buffer {
  const marked = `${CANARY_MARK}${name}`
  return Buffer.from(
    marked +
      randomBytes(length)
        .toString('hex')
        .slice(0, length - marked.length),
  )
}
