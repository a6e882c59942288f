const MOST_AT_ONCE = 500

interface Waiting<W, R> {
  readonly wish: W
  readonly done: (result: R) => void
  readonly failed: (error: unknown) => void
}

/**
 * The first wish is worked on at once; all that come meanwhile are worked on together after it. The results
 * have the order of the wishes, and where the work fails it fails for all of them.
 */
export function together<W, R>(
  work: (wishes: readonly W[]) => Promise<readonly R[]>,
): (wish: W) => Promise<R> {
  const waiting: Waiting<W, R>[] = []
  let working = false

  async function workAll(): Promise<void> {
    while (waiting.length > 0) {
      const some = waiting.splice(0, MOST_AT_ONCE)
      try {
        const results = await work(some.map(({ wish }) => wish))
        results.forEach((result, at) => {
          some[at]?.done(result)
        })
      } catch (error) {
        for (const { failed } of some) failed(error)
      }
    }
    working = false
  }

  return (wish) =>
    new Promise((done, failed) => {
      waiting.push({ wish, done, failed })
      if (working) return
      working = true
      void workAll()
    })
}
