import { authorizationCodeFlow } from '../../../src/flows/authorization-code.ts'
import type { CallerId } from '../../../src/model/caller.ts'
import { THE_PERSON } from '../../../src/model/caller.ts'
import type { Flow } from '../../../src/model/flow.ts'
import { Secret } from '../../../src/model/secret.ts'
import { openHouse } from '../../../src/open.ts'

// A broker that does what its parent tells it, until it is killed over it. Signing in takes what it is given
// for an answer of the provider; all that is ended is ended as ever.

const HOUR_MS = 60 * 60_000

interface Order {
  readonly id: number
  readonly verb: string
  readonly words: readonly string[]
}

const flow: Flow = {
  ...authorizationCodeFlow(),
  comesBack: false,
  async begin({ known, now }) {
    const { accessToken = new Secret(''), refreshToken = new Secret('') } = known
    const expiresAt = new Date(now().getTime() + HOUR_MS)
    const credential = { standing: false, expiresAt, scopes: [], tokenType: 'Bearer' }
    return {
      done: {
        credential: { ...credential, worn: { accessToken }, kept: { refreshToken } },
        profile: { subject: null, displayName: null, vars: {} },
      },
    }
  },
}

const [home = ''] = process.argv.slice(2)
const { broker } = await openHouse({ home, env: {} }, { flows: [flow] })
const desk = broker.as({ id: THE_PERSON as CallerId, owner: THE_PERSON, proof: { door: 'test' } })

const deeds: Readonly<Record<string, (...words: string[]) => Promise<unknown>>> = {
  connect: (bucket = '', refreshToken = '', accessToken = '') =>
    desk.connect({
      provider: 'lossy',
      bucket,
      fields: { refreshToken: new Secret(refreshToken), accessToken: new Secret(accessToken) },
    }),
  connected: async () => (await desk.accounts()).map(({ bucket }) => bucket),
  revoke: (bucket = '') => desk.revoke(`lossy/${bucket}`),
  rotate: (bucket = '', refreshToken = '', accessToken = '') =>
    desk.rotate(`lossy/${bucket}`, {
      fields: { refreshToken: new Secret(refreshToken), accessToken: new Secret(accessToken) },
    }),
  waiting: async () => (await desk.outbox()).length,
  verify: async () => {
    const problems = await broker
      .keeper({ id: THE_PERSON as CallerId, owner: THE_PERSON, proof: { door: 'test', uid: 0 } })
      .verifyAudit()
    return problems.ok
  },
  close: () => broker.close(),
}

process.on('message', async ({ id, verb, words }: Order) => {
  try {
    process.send?.({ id, value: (await deeds[verb]?.(...words)) ?? null })
  } catch (error) {
    process.send?.({ id, error: String(error) })
  }
  if (verb === 'close') process.disconnect()
})
process.on('disconnect', () => process.exit())
process.send?.({ opened: true })
