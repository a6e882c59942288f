/** Waits for the work, and not for longer than this. What becomes of the work is its own affair. */
export async function upTo(milliseconds: number, work: Promise<unknown>): Promise<void> {
  const { promise: patienceOver, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, milliseconds)
  await Promise.race([work, patienceOver]).finally(() => clearTimeout(timer))
}
