const SECOND_MS = 1000
/** How many are asked for at one server at once. */
export const LANES = 4
/** So long a server is taken at its word. */
const LONGEST_QUIET_MS = 24 * 60 * 60 * SECOND_MS
/** Whoever finds all lanes taken comes again after this, and not all at the same moment. */
const FULL_MS = 2 * SECOND_MS
const SPREAD_MS = 10 * SECOND_MS

type Turn = { readonly over: () => void } | { readonly againMs: number; readonly quiet: boolean }

/** Keeps a server that is slow, or wants to be left alone, from being asked for everything that is owed to it. */
export interface Lanes {
  enter(server: string): Turn
  /** It wants to be left alone for so long. */
  leaveAlone(server: string, milliseconds: number): void
}

export function openLanes(monotonic: () => number): Lanes {
  const underWay = new Map<string, number>()
  const quietUntil = new Map<string, number>()

  function quietMs(server: string): number {
    const left = (quietUntil.get(server) ?? 0) - monotonic()
    if (left <= 0) quietUntil.delete(server)
    return Math.max(0, left)
  }

  function leave(server: string): void {
    const left = (underWay.get(server) ?? 1) - 1
    if (left > 0) underWay.set(server, left)
    else underWay.delete(server)
  }

  return {
    enter(server) {
      const quiet = quietMs(server)
      if (quiet > 0) return { againMs: quiet + Math.random() * SPREAD_MS, quiet: true }
      const taken = underWay.get(server) ?? 0
      if (taken >= LANES) return { againMs: FULL_MS + Math.random() * SPREAD_MS, quiet: false }
      underWay.set(server, taken + 1)
      return { over: () => leave(server) }
    },
    leaveAlone(server, milliseconds) {
      const until = monotonic() + Math.min(milliseconds, LONGEST_QUIET_MS)
      quietUntil.set(server, Math.max(until, quietUntil.get(server) ?? 0))
    },
  }
}
