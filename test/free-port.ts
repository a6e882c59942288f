import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below what any system gives away by itself, so that nobody is given it before it is used. */
const [FIRST, LAST] = [15_000, 31_000]

/** A port that nobody listens on, and that stays so for who has to know it beforehand. */
export async function freePort(): Promise<number> {
  const port = randomInt(FIRST, LAST)
  const probe = createServer().listen({ port, host: '127.0.0.1', exclusive: true })
  const isFree = await Promise.race([
    once(probe, 'listening').then(() => true),
    once(probe, 'error').then(() => false),
  ])
  if (!isFree) return freePort()
  probe.close()
  await once(probe, 'close')
  return port
}
