import type { Choices } from './choices.ts'
import type { Store } from './store.ts'

/** What a person allowed, and how it shall behave. */
export interface Allowed extends Choices {
  readonly app: string
  readonly refreshable: boolean
  readonly since: Date
}

export interface LivingGrant extends Allowed {
  readonly id: string
  readonly refreshes: number
}

/** Every consent is a grant of its own, so that ending one leaves the others alone. */
export interface Grants {
  allow(id: string, allowed: Allowed): void
  find(id: string | undefined): Allowed | undefined
  refreshed(id: string | undefined): void
  alive(): readonly LivingGrant[]
  /** False where there is nothing left to end. */
  revoke(id: string): boolean
}

export function openGrants(store: Store): Grants {
  const all = new Map<string, LivingGrant>()

  function alive(): readonly LivingGrant[] {
    return [...all.values()].filter(({ id }) => store.lives(id))
  }

  return {
    allow: (id, allowed) => void all.set(id, { ...allowed, id, refreshes: 0 }),
    find: (id = '') => all.get(id),
    refreshed: (id = '') => {
      const grant = all.get(id)
      if (grant) all.set(id, { ...grant, refreshes: grant.refreshes + 1 })
    },
    alive,
    revoke: (id) => {
      const found = alive().some((grant) => grant.id === id)
      store.end(id)
      return found
    },
  }
}
