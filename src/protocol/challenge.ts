const MOST_LETTERS = 16 * 1024

/** One challenge of a `WWW-Authenticate` header, RFC 9110 §11.6.1. */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string
  /** By their names in lower case. */
  readonly params: ReadonlyMap<string, string>
}

const GAP = /[\s,]*/y
const TOKEN = /[!#$%&'*+.^_`|~\w-]+/y
const VALUE = /\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~\w:/?@-]+))/y
/** What some schemes say instead of parameters. */
const TOKEN68 = /\s+[\w.~+/-]+=*(?=\s*(?:,|$))/y

/** All challenges of a header, in their order. Of what cannot be read the part before it counts. */
export function readChallenges(header: string | null | undefined): readonly Challenge[] {
  const found: { scheme: string; params: Map<string, string> }[] = []
  if (!header || header.length > MOST_LETTERS) return found
  const read = readerOf(header)
  for (read(GAP); !read.atEnd(); read(GAP)) {
    const word = read(TOKEN)?.[0].toLowerCase()
    if (word === undefined) break
    const value = read(VALUE)
    const current = found.at(-1)
    if (value !== null) {
      // Whoever says a name twice is believed the first time, as everywhere.
      if (current && !current.params.has(word)) current.params.set(word, unescaped(value))
    } else {
      found.push({ scheme: word, params: new Map() })
      read(TOKEN68)
    }
  }
  return found
}

/** The challenge that speaks of tokens such as ours; undefined where there is none. */
export function bearerChallenge(header: string | null | undefined): Challenge | undefined {
  return readChallenges(header).find(({ scheme }) => scheme === 'bearer' || scheme === 'dpop')
}

function readerOf(text: string) {
  let at = 0
  const read = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found !== null) at = pattern.lastIndex
    return found
  }
  return Object.assign(read, { atEnd: () => at >= text.length })
}

function unescaped([, quoted, bare = '']: RegExpExecArray): string {
  return quoted === undefined ? bare : quoted.replaceAll(/\\(.)/g, '$1')
}
