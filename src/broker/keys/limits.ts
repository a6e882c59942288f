import { type Limits, ValetkeyError } from '#client'
import { isRequestPattern } from '../forwarding/requests.ts'

const MOST_PATTERNS = 50
const REQUEST = /^(?:[A-Z]{1,20} )?\/[\x21-\x7e]{0,500}$/
const TIME_OF_DAY = /^(?:[01]\d|2[0-3]):[0-5]\d$/
const MOST_USES = 1_000_000_000
const A_DAY_IN_SECONDS = 86_400

/** As they may come in, with what was not said left undefined. */
type Asked = { readonly [L in keyof Limits]?: Limits[L] | undefined }

/** Only what somebody can be held to: what cannot be understood would hold nobody. */
export function readLimits({ only, rate, budget, hours }: Asked): Limits {
  if (only !== undefined && !(only.length > 0 && only.length <= MOST_PATTERNS && only.every(isRequest)))
    throw misread('the requests', 'write each as GET /repos/*, or as a path alone')
  if (rate !== undefined && !(isCount(rate.uses) && isCount(rate.seconds, A_DAY_IN_SECONDS)))
    throw misread('the rate', 'so many uses in at most a day, such as 60 in 60 seconds')
  if (budget !== undefined && !isCount(budget)) throw misread('the budget', 'a whole number of uses')
  if (hours !== undefined && !(TIME_OF_DAY.test(hours.from) && TIME_OF_DAY.test(hours.to)))
    throw misread('the hours', 'write them as 09:00 and 17:30')
  return {
    ...(only && { only: [...only] }),
    ...(rate && { rate: { uses: rate.uses, seconds: rate.seconds } }),
    ...(budget !== undefined && { budget }),
    ...(hours && { hours: { from: hours.from, to: hours.to } }),
  }
}

function isRequest(text: string): boolean {
  return REQUEST.test(text) && isRequestPattern(text)
}

function isCount(number: number, most = MOST_USES): boolean {
  return Number.isSafeInteger(number) && number >= 1 && number <= most
}

function misread(what: string, hint: string): ValetkeyError {
  return new ValetkeyError('invalid-request', `${what} of these limits cannot be understood`, { hint })
}
