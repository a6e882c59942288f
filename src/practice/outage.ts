export const OUTAGE_SECONDS = 10

/** The provider can be made to be down for a while, as real ones are now and then. */
export interface Outage {
  begin(): void
  /** Zero while the provider is up. */
  secondsLeft(): number
}

export function openOutage(now: () => Date): Outage {
  let until = 0
  return {
    begin: () => {
      until = now().getTime() + OUTAGE_SECONDS * 1000
    },
    secondsLeft: () => Math.max(0, Math.ceil((until - now().getTime()) / 1000)),
  }
}
