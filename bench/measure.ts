/** How long each of many took, in milliseconds, the shortest first. */
export interface Times {
  readonly p50: number
  readonly p99: number
}

export async function timesOf(count: number, work: () => Promise<unknown>): Promise<Times> {
  const all = new Float64Array(count)
  for (let n = 0; n < count; n += 1) {
    const begun = performance.now()
    await work()
    all[n] = performance.now() - begun
  }
  all.sort()
  const at = (share: number) => all[Math.min(count - 1, Math.floor(count * share))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}

/** How many a second, with so many under way at once. */
export async function rateOf(count: number, lanes: readonly (() => Promise<unknown>)[]): Promise<number> {
  let left = count
  const begun = performance.now()
  await Promise.all(
    lanes.map(async (work) => {
      while (left > 0) {
        left -= 1
        await work()
      }
    }),
  )
  return (count / (performance.now() - begun)) * 1000
}

export function median(all: readonly number[]): number {
  const sorted = all.toSorted((one, other) => one - other)
  const half = Math.floor(sorted.length / 2)
  const [low = Number.NaN, high = Number.NaN] =
    sorted.length % 2 ? [sorted[half], sorted[half]] : [sorted[half - 1], sorted[half]]
  return (low + high) / 2
}
