import { ValetkeyError } from '#client'
import { accountsOf, formatAddressOf } from './keys.ts'
import { addressIn, mayKnow, notForYou, op, type Seat, textIn } from './op.ts'

/** As far back as uses are counted. */
const DAYS = 400

export const listProviders = op(async (seat) => ({
  providers: [...new Set((await accountsOf(seat)).map(({ providerId }) => providerId))],
}))

export const listBuckets = op(async (seat, payload) => {
  const provider = textIn(payload, 'provider')
  if (!mayKnow(seat, provider)) throw notForYou()
  const accounts = await accountsOf(seat)
  return { buckets: accounts.filter(({ providerId }) => providerId === provider).map(({ bucket }) => bucket) }
})

/** The caller's own uses, and what part they are of its uses of this provider. The owner sees everybody's. */
export const getBucketStats = op(async (seat, payload) => {
  const address = addressIn(seat, payload)
  const account = (await accountsOf(seat)).find((one) => formatAddressOf(one) === address)
  if (account === undefined) throw new ValetkeyError('not-connected', 'there is no such account')
  const uses = await usesOf(seat)
  const requestCount = uses.get(address) ?? 0
  const [provider = ''] = address.split('/')
  let all = 0
  for (const [at, count] of uses) if (at.split('/')[0] === provider) all += count
  return {
    bucket: account.bucket,
    requestCount,
    percentage: all === 0 ? 0 : (100 * requestCount) / all,
    lastUsed: account.lastUsedAt?.getTime() ?? null,
  }
})

async function usesOf({ desk }: Seat): Promise<ReadonlyMap<string, number>> {
  const uses = new Map<string, number>()
  for (const { address, lends, forwards, reveals } of await desk.usage({ days: DAYS }))
    uses.set(address, (uses.get(address) ?? 0) + lends + forwards + reveals)
  return uses
}
