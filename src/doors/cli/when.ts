import { ValetkeyError } from '#client'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const UNITS: Readonly<Record<string, number>> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY }

/** `in 12 min`, `3 days ago`: how far a moment is away, in one unit. */
export function relative(at: string | null, now: Date): string {
  if (at === null) return ''
  const distance = Date.parse(at) - now.getTime()
  if (Number.isNaN(distance)) return ''
  if (Math.abs(distance) < 5 * SECOND) return 'now'
  const amount = inWords(Math.abs(distance))
  return distance > 0 ? `in ${amount}` : `${amount} ago`
}

function inWords(span: number): string {
  if (Math.round(span / SECOND) < 60) return `${Math.round(span / SECOND)} s`
  if (Math.round(span / MINUTE) < 60) return `${Math.round(span / MINUTE)} min`
  if (Math.round(span / HOUR) < 48) return `${Math.round(span / HOUR)} h`
  return `${Math.round(span / DAY)} days`
}

/** `90s`, `15m`, `1h`, `7d` or `2w`, in milliseconds. */
export function duration(text: string): number {
  const [, amount, unit = ''] = /^(\d{1,6})([smhdw])$/.exec(text.trim()) ?? []
  const length = UNITS[unit]
  if (amount === undefined || length === undefined || Number(amount) === 0) {
    throw new ValetkeyError('usage', `${JSON.stringify(text)} is not a length of time`, {
      hint: 'write it as 90s, 15m, 1h, 7d or 2w',
    })
  }
  return Number(amount) * length
}

/** A length of time from now, or a moment such as `2027-01-31` or `2027-01-31T12:00:00Z`. */
export function moment(text: string, now: Date, direction: 'ahead' | 'back'): string {
  if (/^\d{4}-\d{2}-\d{2}/.test(text)) {
    const at = new Date(text)
    if (!Number.isNaN(at.getTime())) return at.toISOString()
  }
  return new Date(now.getTime() + duration(text) * (direction === 'ahead' ? 1 : -1)).toISOString()
}
