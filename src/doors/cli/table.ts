import { plain } from './plain.ts'

const GAP = '  '
const ELLIPSIS = '…'
const NARROWEST = 6
const letters = new Intl.Segmenter('en', { granularity: 'grapheme' })
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u

/** How many columns a terminal needs for a text without colours. */
export function displayWidth(text: string): number {
  let width = 0
  for (const { segment } of letters.segment(text)) width += letterWidth(segment)
  return width
}

function letterWidth(letter: string): number {
  if (/^[\p{Mn}\p{Me}\p{Cf}]+$/u.test(letter)) return 0
  return WIDE.test(letter) || letter.includes('\ufe0f') ? 2 : 1
}

/** At most so wide; what was cut ends in an ellipsis. */
export function cut(text: string, width: number): string {
  if (displayWidth(text) <= width) return text
  let kept = ''
  let used = 1
  for (const { segment } of letters.segment(text)) {
    used += letterWidth(segment)
    if (used > width) break
    kept += segment
  }
  return kept + ELLIPSIS
}

/**
 * Lines of aligned columns. Where the terminal is too narrow the widest column gives way, but never the
 * first: that is the name by which a person goes on.
 */
export function table(rows: readonly (readonly string[])[], columns = Number.POSITIVE_INFINITY): string[] {
  const cells = rows.map((row) => row.map(plain))
  const widths = narrowed(naturalWidths(cells), columns)
  return cells.map((row) =>
    row
      .map((cell, column) => pad(cut(cell, widths[column] ?? 0), widths[column] ?? 0))
      .join(GAP)
      .trimEnd(),
  )
}

function naturalWidths(rows: readonly (readonly string[])[]): number[] {
  const count = Math.max(0, ...rows.map((row) => row.length))
  return Array.from({ length: count }, (_, column) =>
    Math.max(...rows.map((row) => displayWidth(row[column] ?? ''))),
  )
}

function narrowed(natural: readonly number[], columns: number): number[] {
  const widths = [...natural]
  const gaps = GAP.length * Math.max(0, widths.length - 1)
  while (widths.reduce((sum, width) => sum + width, gaps) > columns) {
    const widest = Math.max(0, ...widths.slice(1))
    if (widest <= NARROWEST) break
    widths[widths.lastIndexOf(widest)] = widest - 1
  }
  return widths
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)))
}
