// A symbol cannot come out of JSON, so nobody outside can send a value that passes for markup.
const MARKUP: unique symbol = Symbol('markup')

export interface Markup {
  readonly [MARKUP]: string
}

type Value = string | number | Markup | readonly Markup[] | undefined

/** Text is escaped; only what was written with `html` itself goes in as it is. */
export function html(pieces: TemplateStringsArray, ...values: readonly Value[]): Markup {
  return markup(pieces.map((piece, i) => (i === 0 ? piece : `${shown(values[i - 1])}${piece}`)).join(''))
}

/** For markup that the library wrote. */
export function markup(text: string): Markup {
  return { [MARKUP]: text }
}

export function textOf(value: Markup): string {
  return value[MARKUP]
}

function shown(value: Value): string {
  if (value === undefined) return ''
  if (typeof value !== 'object') return escaped(String(value))
  return MARKUP in value ? value[MARKUP] : value.map(textOf).join('')
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}
