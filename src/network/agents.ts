import { createHash } from 'node:crypto'
import type { Agent } from 'undici'
import type { ClientCertificate } from '../model/network.ts'

/** More certificates than this are not in use at once. */
const MOST = 50

/** The connections that are kept, apart for each certificate that is shown over them. */
export interface Agents {
  of(request: { readonly certificate?: ClientCertificate | undefined }): Agent
  close(): Promise<void>
}

export function agentsBy(make: (certificate?: ClientCertificate) => Agent): Agents {
  const plain = make()
  const certified = new Map<string, Agent>()

  function certifiedBy(certificate: ClientCertificate): Agent {
    const name = nameOf(certificate)
    const agent = certified.get(name) ?? make(certificate)
    certified.delete(name)
    certified.set(name, agent)
    for (const [oldest, unused] of certified) {
      if (certified.size <= MOST) break
      certified.delete(oldest)
      // What is under way over them ends by itself.
      void unused.close().catch(() => undefined)
    }
    return agent
  }

  return {
    of: ({ certificate }) => (certificate === undefined ? plain : certifiedBy(certificate)),
    async close() {
      await Promise.all([plain, ...certified.values()].map((agent) => agent.destroy()))
    },
  }
}

function nameOf({ chain, key }: ClientCertificate): string {
  return createHash('sha256').update(chain.revealBytes()).update(key.revealBytes()).digest('hex')
}
