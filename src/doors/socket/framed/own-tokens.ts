import type { CallerId } from '../../../model/caller.ts'
import type { Secret } from '../../../model/secret.ts'

/** A token that a caller brought, as it is served back to that caller and to nobody else. */
export interface OwnToken {
  readonly token: Secret
  readonly tokenType: string
  readonly scope: string | undefined
  readonly expiresAt: Date
}

/** What of one caller is remembered at most. */
const MOST = 64

/** In memory alone, and no longer than each token lives. */
export function ownTokens(now: () => Date) {
  const all = new Map<CallerId, Map<string, OwnToken>>()
  const lives = ({ expiresAt }: OwnToken, seconds = 0) =>
    expiresAt.getTime() > now().getTime() + seconds * 1000

  return {
    put(caller: CallerId, address: string, token: OwnToken): void {
      const own = all.get(caller) ?? new Map<string, OwnToken>()
      own.delete(address)
      const [oldest] = own.size >= MOST ? own.keys() : []
      if (oldest !== undefined) own.delete(oldest)
      all.set(caller, own.set(address, token))
    },
    find(caller: CallerId, address: string, minValidity?: number): OwnToken | undefined {
      const found = all.get(caller)?.get(address)
      return found !== undefined && lives(found, minValidity) ? found : undefined
    },
    remove: (caller: CallerId, address: string): boolean => all.get(caller)?.delete(address) ?? false,
    forget: (caller: CallerId): void => void all.delete(caller),
    sweep(): void {
      for (const [caller, own] of all) {
        for (const [address, token] of own) if (!lives(token)) own.delete(address)
        if (own.size === 0) all.delete(caller)
      }
    },
  }
}
