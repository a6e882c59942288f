interface Paced {
  /** True since the work failed, until it succeeded again. */
  readonly failing: boolean
  /** Asks for the work; it is done before `every` milliseconds have passed, once for all who asked. */
  ask(): void
  /** Does it at once. */
  now(): Promise<void>
  stop(): void
}

interface Pace {
  readonly every: number
  readonly work: () => Promise<void>
  /** Told of the first failure of a row; the work is tried again. */
  readonly failed: (error: unknown) => void
}

const TRY_AGAIN_MS = 1000

/** Work that is asked for often and done at a steady pace, never twice at the same time. */
export function paced({ every, work, failed }: Pace): Paced {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let failing = false
  let before: Promise<unknown> = Promise.resolve()

  function now(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const mine = before.then(work).then(() => {
      failing = false
    })
    before = mine.catch(() => undefined)
    return mine
  }

  function after(milliseconds: number): void {
    timer ??= setTimeout(() => now().catch(again), milliseconds).unref()
  }

  function again(error: unknown): void {
    if (!failing) failed(error)
    failing = true
    if (!stopped) after(TRY_AGAIN_MS)
  }

  return {
    get failing() {
      return failing
    },
    ask() {
      stopped = false
      after(every)
    },
    now,
    stop() {
      stopped = true
      clearTimeout(timer)
      timer = undefined
    },
  }
}
