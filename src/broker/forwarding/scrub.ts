import { Buffer } from 'node:buffer'

/** What stands in the place of every letter of a secret, so that no length is changed by it. */
const STAR = 0x2a

/** Takes pieces as they come, and gives back as much as nothing that follows can make a secret of. */
export interface Scrubber {
  feed(piece: Buffer): Buffer
  end(): Buffer
}

export function scrubber(secrets: readonly Buffer[]): Scrubber {
  const longest = secrets[0]?.byteLength ?? 0
  const byFirst = Map.groupBy(secrets, (secret) => secret[0])
  let kept: Buffer = Buffer.alloc(0)

  /** How much at its end may be the beginning of a secret. */
  function begun(bytes: Buffer): number {
    for (let at = Math.max(0, bytes.byteLength - longest + 1); at < bytes.byteLength; at += 1) {
      const left = bytes.byteLength - at
      const some = byFirst.get(bytes[at])
      if (some?.some((one) => one.byteLength > left && one.compare(bytes, at, at + left, 0, left) === 0))
        return left
    }
    return 0
  }

  return {
    feed(piece) {
      const bytes = starred(kept.byteLength === 0 ? piece : Buffer.concat([kept, piece]), secrets)
      const whole = bytes.byteLength - begun(bytes)
      kept = bytes.subarray(whole)
      return bytes.subarray(0, whole)
    },
    end: () => kept,
  }
}

/** The same bytes where there is none of these in them; else others, of the same length. */
export function starred(bytes: Buffer, secrets: readonly Buffer[]): Buffer {
  let clean = bytes
  for (const secret of secrets)
    for (let at = clean.indexOf(secret); at >= 0; at = clean.indexOf(secret, at + secret.byteLength)) {
      if (clean === bytes) clean = Buffer.from(bytes)
      clean.fill(STAR, at, at + secret.byteLength)
    }
  return clean
}

/** The same for texts, such as the values of headers. */
export function starredTexts(texts: readonly string[], secrets: readonly Buffer[]): readonly string[] {
  const all = Buffer.from(texts.join('\n'), 'latin1')
  const clean = starred(all, secrets)
  return clean === all ? texts : clean.toString('latin1').split('\n')
}
