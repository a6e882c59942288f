/** @typedef {import('../../../../client/src/words.ts').Account} Account */

/** @param {{ providerId: string, bucket: string }} account */
export function addressOf({ providerId, bucket }) {
  return bucket === 'default' ? providerId : `${providerId}/${bucket}`
}

/** @type {Record<Account['status'], { text: string, style: string }>} */
export const STATES = {
  connected: { text: 'connected', style: '' },
  'needs-reauth': { text: 'needs you', style: 'warn' },
  failing: { text: 'failing', style: 'warn' },
  revoked: { text: 'revoked', style: 'off' },
}

/** @type {Record<Account['warnings'][number], string>} */
export const WARNINGS = {
  expiring: 'expires soon',
  'missing-scopes': 'some permissions are missing',
  'rotation-due': 'due to be rotated',
}

/** @type {Readonly<Record<string, string>>} */
const CATEGORIES = { ai: 'AI', dev: 'Development' }

/** @param {string} category */
export function categoryOf(category) {
  return CATEGORIES[category] ?? `${category.slice(0, 1).toUpperCase()}${category.slice(1)}`
}

/** What holds every use, as a person reads it. @param {import('../../../../client/src/words.ts').Limits | null | undefined} limits */
export function limitsIn(limits) {
  const { only = [], rate, budget, hours } = limits ?? {}
  return [
    ...only,
    rate && `${rate.uses} in ${rate.seconds} seconds`,
    budget && `${budget} in all`,
    hours && `from ${hours.from} to ${hours.to}`,
  ].filter((one) => one !== undefined)
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
const UNITS = /** @type {const} */ ([
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
])

/** @param {string} time */
export function ago(time) {
  const seconds = (new Date(time).getTime() - Date.now()) / 1000
  const found = UNITS.find(([, size]) => Math.abs(seconds) >= size)
  return found === undefined ? 'just now' : relative.format(Math.round(seconds / found[1]), found[0])
}
