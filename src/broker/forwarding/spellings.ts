import { Buffer } from 'node:buffer'

/** What is shorter is found in too much that is nobody's secret. */
const SHORTEST = 6
const SHORTEST_IN_BASE64 = 8

/** All the ways in which a secret may stand in an answer, the longest first. */
export function spellingsOf(secrets: readonly string[]): readonly Buffer[] {
  const all = new Map<string, Buffer>()
  for (const secret of secrets.filter((one) => Buffer.byteLength(one) >= SHORTEST))
    for (const one of waysOf(secret)) all.set(one.toString('latin1'), one)
  return [...all.values()].toSorted((one, other) => other.byteLength - one.byteLength)
}

function waysOf(secret: string): Buffer[] {
  const texts = [inJson, inPages, inLinks, inHex, inBase64].flatMap((ways) => ways(secret))
  return [...[secret, ...texts].map((text) => Buffer.from(text)), ...inCharsets(secret)]
}

/** What those who write JSON for pages escape; the last of them everything. */
const ESCAPED = [/[&<>]/, /[&<>'=]/, /[&<>'+]/, /[&<>'"+`]/, /./s]

function inJson(secret: string): string[] {
  const plain = JSON.stringify(secret).slice(1, -1)
  const escaped = (which: RegExp, spell: (code: string) => string) =>
    Array.from({ length: secret.length }, (_, at) => secret.charAt(at))
      .map((one) => (which.test(one) ? `\\u${spell(codeOf(one))}` : JSON.stringify(one).slice(1, -1)))
      .join('')
  const small = ESCAPED.map((which) => escaped(which, (code) => code))
  const large = ESCAPED.map((which) => escaped(which, (code) => code.toUpperCase()))
  return [plain, plain.replaceAll('/', '\\/'), ...small, ...large]
}

function codeOf(letter: string): string {
  return letter.charCodeAt(0).toString(16).padStart(4, '0')
}

const NAMED = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }
const QUOTED = { ...NAMED, '"': '&quot;', "'": '&#39;' }
const IN_HEX = { ...NAMED, '"': '&quot;', "'": '&#x27;' }
/** As pages are written by what is usual for that. */
const PAGES: readonly Readonly<Record<string, string>>[] = [
  NAMED,
  { ...NAMED, '"': '&quot;' },
  QUOTED,
  IN_HEX,
  { ...QUOTED, '/': '&#x2F;' },
  { ...IN_HEX, '/': '&#x2F;' },
  { ...IN_HEX, '+': '&#x2B;', '`': '&#x60;' },
  { ...IN_HEX, '=': '&#x3D;', '`': '&#x60;' },
  { ...QUOTED, '=': '&#x3D;', '/': '&#x2F;', '`': '&#x60;' },
  { ...NAMED, '"': '&#34;', "'": '&#39;' },
  { ...NAMED, '"': '&#34;', "'": '&#39;', '+': '&#43;' },
  { '&': '&#38;', '<': '&#60;', '>': '&#62;', '"': '&#34;', "'": '&#39;' },
]

function inPages(secret: string): string[] {
  const large = PAGES.map((written) => secret.replaceAll(/[&<>"'+=/`]/g, (one) => written[one] ?? one))
  return [...large, ...large.map((page) => page.replaceAll(/&#x\w+;/g, (code) => code.toLowerCase()))]
}

/** Whoever asks may name the charset that they are to be answered in. */
function inCharsets(secret: string): Buffer[] {
  const little = Buffer.from(secret, 'utf16le')
  return [little, Buffer.from(little).swap16()]
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
