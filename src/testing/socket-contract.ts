import { type Check, tell } from './check.ts'
import { framedClient, rawClient } from './framed-client.ts'
import { asking } from './socket-stories/asking.ts'
import { framing } from './socket-stories/framing.ts'
import { greeting } from './socket-stories/greeting.ts'
import { listing } from './socket-stories/listing.ts'
import { type Play, type SocketFacts, settled } from './socket-stories/play.ts'
import { signingIn } from './socket-stories/signing-in.ts'
import { tokens } from './socket-stories/tokens.ts'
import { waiting } from './socket-stories/waiting.ts'

export type { SocketFacts } from './socket-stories/play.ts'

/**
 * What every server of the framed protocol promises, both versions of it: every operation, code and limit, the
 * order of its checks, and what it never tells. It takes the socket of any server; what is said of that
 * beside its path decides which promises can be tried, and every one that cannot says why.
 */
export function socketContract(name: string, facts: SocketFacts): void {
  tell(`the socket contract, kept by ${name}`, socketChecks(facts))
}

export function socketChecks(facts: SocketFacts): readonly Check[] {
  const on = (name: string, story: (play: Play) => Promise<void>, needs: readonly string[] = []): Check => {
    const missing = needs.find((need) => facts[need as keyof SocketFacts] === undefined)
    const run = () => playing(facts, story)
    return missing === undefined ? { name, run } : { name, run, skipped: `"${missing}" is not told` }
  }
  return [
    ...greeting(on, facts),
    ...framing(on),
    ...asking(on, facts),
    ...waiting(on),
    ...tokens(on, facts),
    ...listing(on, facts),
    ...signingIn(on),
  ]
}

async function playing(facts: SocketFacts, story: (play: Play) => Promise<void>): Promise<void> {
  const open: (() => void)[] = []
  const path = await settled(facts.path)
  const token = await settled(facts.capabilityToken)
  try {
    await story({
      facts,
      path,
      async client(options) {
        const client = await framedClient(path, { capabilityToken: token, ...options })
        open.push(client.close)
        return client
      },
      async raw() {
        const raw = await rawClient(path)
        open.push(raw.destroy)
        return raw
      },
      greeting: (version) => ({
        v: version,
        op: 'handshake',
        payload: {
          minVersion: 1,
          maxVersion: version,
          ...(token !== undefined && { capabilityToken: token }),
        },
      }),
    })
  } finally {
    for (const close of open) close()
  }
}
