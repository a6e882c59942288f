import { interrupted } from './failure.ts'
import type { Run } from './run.ts'

/** Does a work that ctrl-c may end at any moment; the work hears of it by the signal. */
export async function untilInterrupted<T>(run: Run, work: (stop: Stop) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const forget = run.onInterrupt(() => controller.abort())
  try {
    return await work(stopOf(controller.signal))
  } finally {
    forget()
  }
}

export interface Stop {
  readonly signal: AbortSignal
  /** The same promise, or a rejection as soon as the person wants to stop. */
  or<T>(promise: Promise<T>): Promise<T>
}

function stopOf(signal: AbortSignal): Stop {
  const stopped = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(interrupted()), { once: true })
  })
  stopped.catch(() => {})
  return {
    signal,
    async or(promise) {
      promise.catch(() => {})
      return Promise.race([promise, stopped])
    },
  }
}
