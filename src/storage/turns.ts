import { AsyncLocalStorage } from 'node:async_hooks'
import { PATIENCE_MILLISECONDS, waitsForItself } from './refusals.ts'

interface Hold {
  over: boolean
}

interface Turns {
  /** One at a time, in the order of arrival. */
  take<R>(work: () => Promise<R>): Promise<R>
  /** The same, for work which may itself (by mistake) ask for a turn and would wait for itself. */
  hold<R>(work: () => Promise<R>): Promise<R>
}

/**
 * One connection, and many who want it. Nobody gets in between the statements of a transaction; and
 * a transaction that waits for a turn of its own is told so instead of standing still for ever.
 */
export function takeTurns(): Turns {
  const inside = new AsyncLocalStorage<Hold>()
  let last: Promise<unknown> = Promise.resolve()

  function queue<R>(work: () => Promise<R>): Promise<R> {
    const turn = last.then(work)
    last = turn.catch(() => undefined)
    return turn
  }

  function queueFromInside<R>(work: () => Promise<R>): Promise<R> {
    let given = false
    return new Promise<R>((resolve, reject) => {
      const tooLong = setTimeout(() => {
        given = true
        reject(waitsForItself())
      }, PATIENCE_MILLISECONDS)
      queue(async () => {
        clearTimeout(tooLong)
        if (given) throw waitsForItself()
        return await work()
      }).then(resolve, reject)
    })
  }

  function take<R>(work: () => Promise<R>): Promise<R> {
    const outer = inside.getStore()
    return outer !== undefined && !outer.over ? queueFromInside(work) : queue(work)
  }

  return {
    take,
    hold: (work) =>
      take(async () => {
        const hold: Hold = { over: false }
        try {
          return await inside.run(hold, work)
        } finally {
          hold.over = true
        }
      }),
  }
}
