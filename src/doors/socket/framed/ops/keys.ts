import { formatAddress, ValetkeyError } from '#client'
import type { Account } from '../../../../model/words.ts'
import { addressNamed, mayKnow, op, type Seat, textIn } from './op.ts'

export const getApiKey = op(async (seat, payload) => {
  const address = addressNamed(seat, textIn(payload, 'name'))
  const isToken = (await accountsOf(seat)).some((one) => formatAddressOf(one) === address && !one.forwardOnly)
  if (isToken) throw new ValetkeyError('not-found', 'what is connected there is no key')
  const { token } = await seat.desk.reveal({ address })
  return { key: token.reveal() }
})

export const listApiKeys = op(async (seat) => ({ keys: await namesOfKeys(seat) }))

export const hasApiKey = op(async (seat, payload) => {
  const address = addressNamed(seat, textIn(payload, 'name'))
  return { exists: (await namesOfKeys(seat)).includes(address) }
})

async function namesOfKeys(seat: Seat): Promise<readonly string[]> {
  return (await accountsOf(seat)).filter(({ forwardOnly }) => forwardOnly).map(formatAddressOf)
}

/** Those that this caller is bound to. */
export async function accountsOf(seat: Seat): Promise<readonly Account[]> {
  const accounts = await seat.desk.accounts()
  return accounts.filter(({ providerId, bucket }) => mayKnow(seat, providerId, bucket))
}

export function formatAddressOf({ providerId: provider, bucket }: Account): string {
  return formatAddress({ provider, bucket })
}
