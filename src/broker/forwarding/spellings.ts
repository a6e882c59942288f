import { Buffer } from 'node:buffer'

/** What is shorter is found in too much that is nobody's secret. */
const SHORTEST = 6
const SHORTEST_IN_BASE64 = 8

/** All the ways in which a secret may stand in an answer, the longest first. */
export function spellingsOf(secrets: readonly string[]): readonly Buffer[] {
  const all = new Map<string, Buffer>()
  for (const secret of secrets.filter((one) => Buffer.byteLength(one) >= SHORTEST))
    for (const one of [secret, ...inJson(secret), ...inLinks(secret), ...inHex(secret), ...inBase64(secret)])
      all.set(one, Buffer.from(one))
  return [...all.values()].toSorted((one, other) => other.byteLength - one.byteLength)
}

function inJson(secret: string): string[] {
  const plain = JSON.stringify(secret).slice(1, -1)
  const escaped = (which: RegExp) =>
    plain.replaceAll(which, (one) => `\\u00${one.charCodeAt(0).toString(16)}`)
  return [plain, plain.replaceAll('/', '\\/'), escaped(/[&<>]/g), escaped(/[&<>'+]/g)]
}

function inLinks(secret: string): string[] {
  const plain = encodeURIComponent(secret.toWellFormed())
  const whole = plain.replaceAll(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)
  const upper = [plain, whole, whole.replaceAll('%20', '+')]
  return [...upper, ...upper.map((one) => one.replaceAll(/%../g, (code) => code.toLowerCase()))]
}

function inHex(secret: string): string[] {
  const hex = Buffer.from(secret).toString('hex')
  return [hex, hex.toUpperCase()]
}

/** Wherever it stands in what was encoded: the letters that hold nothing but it. */
function inBase64(secret: string): string[] {
  return [0, 1, 2].flatMap((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)])
    const core = bytes
      .toString('base64')
      .slice(Math.ceil((before * 4) / 3), Math.floor((bytes.length * 4) / 3))
    if (core.length < SHORTEST_IN_BASE64) return []
    return [core, core.replaceAll('+', '-').replaceAll('/', '_')]
  })
}
