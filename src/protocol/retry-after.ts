const MOST_SECONDS = 24 * 60 * 60
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/**
 * How many seconds a server wants to be left alone, RFC 9110 §10.2.3; a day at most. Undefined where it
 * says nothing, nothing that makes sense, or a time that is over, and for a date that no clock is there for.
 */
export function retryAfterOf(header: string | null, now?: () => Date): number | undefined {
  const said = header?.trim() ?? ''
  const seconds = /^\d{1,15}$/.test(said) ? Number(said) : until(said, now)
  return seconds !== undefined && seconds > 0 ? Math.min(seconds, MOST_SECONDS) : undefined
}

function until(said: string, now: (() => Date) | undefined): number | undefined {
  const at = HTTP_DATE.test(said) ? Date.parse(said) : Number.NaN
  return now === undefined || Number.isNaN(at) ? undefined : Math.ceil((at - now().getTime()) / 1000)
}
