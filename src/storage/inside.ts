import { AsyncLocalStorage } from 'node:async_hooks'
import { PATIENCE_MILLISECONDS, waitsForItself } from './refusals.ts'

interface Under {
  readonly over: Promise<void>
  ended: boolean
}

interface Inside {
  /** Does work that is known, to whatever it begins, as being under way. */
  enter<R>(work: () => Promise<R>): Promise<R>
  /** Resolves at once for whoever is not inside of anything, and for others when that is over. */
  outside(): Promise<void>
}

/**
 * Where there are many connections, a transaction that asks beside itself would wait for locks of its
 * own for ever, and the database would not know why. It is told so instead.
 */
export function knowInside(): Inside {
  const inside = new AsyncLocalStorage<Under>()

  async function outside(): Promise<void> {
    const under = inside.getStore()
    if (under === undefined || under.ended) return
    let patience: NodeJS.Timeout | undefined
    const tooLong = new Promise<void>((resolve) => {
      patience = setTimeout(resolve, PATIENCE_MILLISECONDS)
    })
    await Promise.race([under.over, tooLong])
    clearTimeout(patience)
    if (!under.ended) throw waitsForItself()
  }

  return {
    outside,
    enter: async (work) => {
      const { promise: over, resolve } = Promise.withResolvers<void>()
      const under: Under = { over, ended: false }
      try {
        return await inside.run(under, work)
      } finally {
        under.ended = true
        resolve()
      }
    },
  }
}
