import { ValetkeyError } from '#client'

// A string, or a sign that opens, closes or divides. Numbers, words and blanks need no look.
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\]:,]/g

/**
 * JSON in which every name means one thing: what two readers could read differently is refused, as
 * is a byte order mark. Throws `bad-answer`, and quotes nothing.
 */
export function strictJson(text: string): unknown {
  const value = parsed(text)
  if (hasTwins(text)) throw new ValetkeyError('bad-answer', 'the answer says the same name twice')
  return value
}

/** As above, for what must be an object. */
export function strictObject(text: string): Readonly<Record<string, unknown>> {
  const value = strictJson(text)
  if (isObject(value)) return value
  throw new ValetkeyError('bad-answer', 'the answer is not a JSON object')
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new ValetkeyError('bad-answer', 'the answer is not JSON')
  }
}

/** Walks over text that is known to be JSON: a string before a colon is a name. */
function hasTwins(text: string): boolean {
  const open: Set<string>[] = []
  let last = ''
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{' || token === '[') open.push(new Set())
    else if (token === '}' || token === ']') open.pop()
    else if (token === ':') {
      const names = open.at(-1)
      const name = String(JSON.parse(last))
      if (names?.has(name)) return true
      names?.add(name)
    } else if (token !== ',') last = token
  }
  return false
}
