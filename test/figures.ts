import { appendFileSync } from 'node:fs'

/** Whether the sizes of record are asked for, and not the small ones of every day. */
const full = process.env['VALETKEY_FULL'] === '1'

/** How often a thing is tried. Also good for how long a test may take: `size(60_000, 3_600_000)`. */
export function size(small: number, whole: number): number {
  return full ? whole : small
}

/**
 * Says what was measured, in one line. `found` of `of`, and with what tool it was found out. Where a
 * run gathers its figures they go into its file, and it prints them together at its end.
 */
export function report(what: string, found: number | string, of: number, tool: string): void {
  const line = `figure: ${what}: ${found} of ${of} (${tool})\n`
  const file = process.env['VALETKEY_FIGURES']
  if (file === undefined) process.stdout.write(line)
  else appendFileSync(file, line)
}
