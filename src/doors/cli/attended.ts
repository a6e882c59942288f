import { type Ask, type Desk, ValetkeyError } from '#client'
import { putTo } from './asking.ts'
import type { Run } from './run.ts'

/** A lesser caller's desk while its owner sits at the terminal: what they want to be asked, they are asked there. */
export function attended(run: Run, desk: Desk, owner: () => Promise<Desk>): Desk {
  async function askedFirst<T>(use: () => Promise<T>): Promise<T> {
    try {
      return await use()
    } catch (error) {
      const ask = await askIn(desk, error)
      const decided = ask && (await putTo(run, await owner(), ask))
      if (decided?.state !== 'allowed') throw error
      return use()
    }
  }

  return {
    ...desk,
    lend: (request) => askedFirst(() => desk.lend(request)),
    reveal: (request) => askedFirst(() => desk.reveal(request)),
    forward: (request) => askedFirst(() => desk.forward(request)),
    async ask(request) {
      const ask = await desk.ask(request)
      if (ask.state !== 'pending') return ask
      return (await putTo(run, await owner(), ask)) ?? ask
    },
  }
}

/** The ask that a refusal names. */
async function askIn(desk: Desk, error: unknown): Promise<Ask | undefined> {
  if (!(error instanceof ValetkeyError) || error.code !== 'ask-needed') return undefined
  const open = (await desk.asks()).filter(({ state }) => state === 'pending')
  return open.find(({ id }) => error.hint?.includes(id))
}
