const SECOND_MS = 1000
const MOST_SLOTS = 10_000

interface PaceLimits {
  /** How many are under way at once: in all, and at one server. */
  readonly inAll: number
  readonly perServer: number
  readonly perSecond: number
}

const USUAL_PACE: PaceLimits = { inAll: 8, perServer: 4, perSecond: 10 }

/** Either it is one's turn, and said when that is over; or there is a time after which to come again. */
type Turn = { readonly over: () => void } | { readonly againMs: number }

/** At what pace servers are asked for what nobody is waiting for. */
export interface Pace {
  /** `quietMs`: for so long the server is not to be asked at all. */
  enter(server: string, id: string, quietMs: number): Turn
}

interface Lane {
  underWay: number
  /** The time that was given away last. */
  last: number
  sweptAt: number
  /** Whose it is, of those that have not come again yet. */
  readonly slots: Map<string, number>
}

/**
 * Whoever comes too early is given a time of their own at the end of the line, so that each comes about
 * twice, however many there are. After a quiet second there is room for as many as belong into one.
 */
export function openPace(monotonic: () => number, limits: PaceLimits = USUAL_PACE): Pace {
  const lanes = new Map<string, Lane>()
  let inAll = 0

  function nextIn(lane: Lane, now: number): number {
    lane.last = Math.max(lane.last, now - SECOND_MS) + SECOND_MS / limits.perSecond
    return Math.max(lane.last, now)
  }

  return {
    enter(server, id, quietMs) {
      const now = monotonic()
      const lane = lanes.get(server) ?? newLane()
      lanes.set(server, lane)
      const isFull = lane.underWay >= limits.perServer || inAll >= limits.inAll
      const later = Math.max(quietMs, isFull ? SECOND_MS : 0)
      const slot = (later === 0 ? lane.slots.get(id) : undefined) ?? nextIn(lane, now) + later
      if (slot > now) {
        if (lane.slots.size > MOST_SLOTS && now - lane.sweptAt >= SECOND_MS) forgetPast(lane, now)
        lane.slots.set(id, slot)
        return { againMs: slot - now }
      }
      lane.slots.delete(id)
      lane.underWay += 1
      inAll += 1
      return {
        over() {
          lane.underWay -= 1
          inAll -= 1
        },
      }
    },
  }
}

/** Some of them were renewed by somebody else meanwhile, and never come. */
function forgetPast(lane: Lane, now: number): void {
  lane.sweptAt = now
  for (const [id, slot] of lane.slots) if (slot <= now) lane.slots.delete(id)
}

function newLane(): Lane {
  const never = Number.NEGATIVE_INFINITY
  return { underWay: 0, last: never, sweptAt: never, slots: new Map() }
}
