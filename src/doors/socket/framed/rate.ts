const WINDOW_MS = 1000

/**
 * At most so many in any one second. Undefined for one that may come; otherwise in how many seconds it is
 * worth another try.
 */
export function paced(rate: number | undefined, clock: () => number): () => number | undefined {
  if (rate === undefined) return () => undefined
  const times = new Float64Array(Math.max(1, rate)).fill(Number.NEGATIVE_INFINITY)
  let at = 0
  return () => {
    const now = clock()
    const free = (times[at] ?? 0) + WINDOW_MS
    if (free > now) return Math.ceil((free - now) / 1000)
    times[at] = now
    at = (at + 1) % times.length
    return undefined
  }
}
