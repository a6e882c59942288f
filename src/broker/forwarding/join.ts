import type { Duplex, Transform } from 'node:stream'

/** How long the other end may take once one of them is gone. */
const LAST_WORDS_MS = 2_000

/** Lets both speak to each other until one is gone, or until it is cut. What the first says goes `through` that. */
export async function join(
  one: Duplex,
  other: Duplex,
  signal: AbortSignal,
  through?: Transform,
): Promise<void> {
  const cut = () => {
    one.destroy()
    other.destroy()
  }
  signal.addEventListener('abort', cut, { once: true })
  if (signal.aborted) cut()
  await Promise.all([carry(one, other, through), carry(other, one)])
  signal.removeEventListener('abort', cut)
  signal.throwIfAborted()
}

function carry(from: Duplex, to: Duplex, through?: Transform): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  through?.pipe(to)
  through?.on('error', () => {
    from.destroy()
    to.destroy()
  })
  from.pipe(through ?? to)
  from.on('error', () => to.destroy())
  from.once('close', () => {
    // What was said last may still be on its way.
    const next = through ?? to
    if (!next.destroyed) next.end()
    const late = setTimeout(() => to.destroy(), LAST_WORDS_MS).unref()
    to.once('close', () => clearTimeout(late))
    resolve()
  })
  if (from.destroyed) from.emit('close')
  return promise
}
