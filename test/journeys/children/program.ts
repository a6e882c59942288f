import { type EventName, openValetkey, ValetkeyError } from '../../../src/index.ts'

// A program that uses the library: it opens the vault, and then does what its parent tells it.

interface Order {
  readonly id: number
  readonly verb: string
  readonly words: readonly string[]
}

const [as] = process.argv.slice(2)
const valetkey = await openValetkey(as === undefined ? {} : { as })
const done: { answered: number; failed: string[] } = { answered: 0, failed: [] }
let atWork = true

const deeds: Readonly<Record<string, (...words: string[]) => Promise<unknown>>> = {
  holder: async () => (await valetkey.keeper.status()).pid,
  accounts: () => valetkey.accounts(),
  connect: (address = '', key = '') => {
    const [provider = '', bucket = 'default'] = address.split('/')
    return valetkey.connect({ provider, bucket, fields: { key } })
  },
  bind: (caller = '', address = '') => valetkey.bind({ caller, address, may: ['forward'], asks: 'never' }),
  revoke: (address = '') => valetkey.revoke(address),
  verify: () => valetkey.keeper.verifyAudit(),
  audit: () => valetkey.audit({ limit: 10_000 }),
  hear: async (name) => {
    valetkey.on(name as EventName, ({ account }) =>
      process.send?.({ heard: name, address: account.providerId }),
    )
  },
  forward: async (address = '', path = '') => {
    const answer = await valetkey.fetch(address)(`https://api.openai.com${path}`)
    return { status: answer.status, text: await answer.text() }
  },
  work: async (address = '', path = '', hands = '1') => {
    await Promise.all(Array.from({ length: Number(hands) }, () => work(address, path)))
    return done
  },
  rest: async () => {
    atWork = false
  },
  close: () => valetkey.close(),
}

/** One request after the other until told to rest; says what was answered, and what became of the others. */
async function work(address: string, path: string): Promise<void> {
  while (atWork) {
    try {
      const answer = await valetkey.forward({ address, method: 'GET', path })
      await new Response(answer.body).text()
      done.answered += 1
    } catch (error) {
      done.failed.push(codeOf(error))
    }
    process.send?.(done)
  }
}

function codeOf(error: unknown): string {
  return error instanceof ValetkeyError ? error.code : String(error)
}

process.on('message', async ({ id, verb, words }: Order) => {
  try {
    process.send?.({ id, value: await deeds[verb]?.(...words) })
  } catch (error) {
    process.send?.({ id, code: codeOf(error) })
  }
  if (verb === 'close') process.disconnect()
})
process.send?.({ opened: true })
