// A transcript is read as a newcomer would read it:
//
//   # a word to the reader
//   $ valetkey connect openai --key-stdin
//   < what is typed or piped into it
//   what it prints, answers and errors as they come
//   [exit 1]                 left out for 0
//
// What differs from run to run is named: <id>, <caller>, <time>, <day>, <number>, <program>, <link>. A name
// that the stage knows, such as <key>, stands for that value wherever it is written.

export interface Exchange {
  readonly command: string
  readonly input: string
  readonly printed: readonly string[]
  readonly exit: number
}

const DIFFERING: Readonly<Record<string, string>> = {
  id: '[a-z]+-[0-9a-f-]{36}|[0-9a-f-]{36}',
  time: 'now|in \\d+ (?:s|min|h|days)|\\d+ (?:s|min|h|days) ago|\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z',
  day: '\\d{4}-\\d\\d-\\d\\d',
  number: '\\d+',
  caller: '(?:key|socket):[0-9a-f]{16}',
  program: '[^(),;]+',
  link: 'http://127\\.0\\.0\\.1:\\d+/\\S*',
}
const DIFFERS = new RegExp(`<(${Object.keys(DIFFERING).join('|')})>`)
const EXIT = /^\[exit (\d+)\]$/

export function readScript(text: string): Exchange[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => readExchange(part.split('\n').filter((line) => !line.startsWith('# '))))
}

function readExchange([command = '', ...rest]: readonly string[]): Exchange {
  const input = rest.filter((line) => line.startsWith('< ')).map((line) => `${line.slice(2)}\n`)
  const exit = rest.map((line) => EXIT.exec(line)?.[1]).find((code) => code !== undefined)
  const printed = rest.filter((line) => !line.startsWith('< ') && !EXIT.test(line))
  return { command, input: input.join(''), printed: withoutLastBlanks(printed), exit: Number(exit ?? 0) }
}

/**
 * The lines that were printed, each told in the words of the script where it says the same: what is
 * left is compared word for word, and a difference is easy to read.
 */
export function inWordsOf(script: readonly string[], printed: string): readonly string[] {
  const lines = withoutLastBlanks(printed.split('\n'))
  const loose = script.some((line) => DIFFERS.test(line))
  return lines.map((line, at) => {
    const expected = script[at]
    return expected !== undefined && patternOf(expected, loose).test(line) ? expected : line
  })
}

/** Columns are as wide as what differs in them, so there only the order of the columns is compared. */
function patternOf(line: string, loose: boolean): RegExp {
  const exact = line.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const named = exact.replaceAll(/<(\w+)>/g, (whole, name) =>
    DIFFERING[name] ? `(?:${DIFFERING[name]})` : whole,
  )
  return new RegExp(`^${loose ? named.replaceAll(/ {2,}/g, ' +') : named}$`)
}

function withoutLastBlanks(lines: readonly string[]): readonly string[] {
  return lines.slice(0, lines.findLastIndex((line) => line !== '') + 1)
}
