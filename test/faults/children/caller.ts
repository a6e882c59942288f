import { type Lent, openValetkey, ValetkeyError } from '../../../src/index.ts'

// A program that uses the library, and is many callers at once.

interface Order {
  readonly id: number
  readonly verb: 'holder' | 'connect' | 'flow' | 'lend' | 'accounts' | 'close'
  readonly words: readonly string[]
}

const valetkey = await openValetkey()

const deeds: Readonly<Record<Order['verb'], (...words: string[]) => Promise<unknown>>> = {
  holder: async () => (await valetkey.keeper.status()).pid,
  connect: (bucket = '') => valetkey.connect({ provider: 'practice', bucket }),
  flow: (id = '') => valetkey.flow(id),
  lend: (address = '', callers = '1') =>
    tally(Array.from({ length: Number(callers) }, () => valetkey.lend({ address }))),
  accounts: () => valetkey.accounts(),
  close: () => valetkey.close(),
}

/** Which tokens came, and what went wrong, of however many. */
async function tally(lendings: readonly Promise<Lent>[]) {
  const ends = await Promise.allSettled(lendings)
  const tokens = ends.flatMap((end) => (end.status === 'fulfilled' ? end.value.token : []))
  const errors = ends.flatMap((end) => (end.status === 'rejected' ? told(end.reason) : []))
  return { answered: tokens.length, tokens: [...new Set(tokens)], errors }
}

function told(error: unknown): string {
  return error instanceof ValetkeyError ? `${error.code}: ${error.message}` : String(error)
}

process.on('message', ({ id, verb, words }: Order) => {
  const doing = deeds[verb](...words)
  void doing.then(
    (value) => process.send?.({ id, value }),
    (error: unknown) => process.send?.({ id, error: told(error) }),
  )
})
process.once('disconnect', () => process.exit())
process.send?.({ ready: true })
