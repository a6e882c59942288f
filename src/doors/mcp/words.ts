import { z } from 'zod'
import { type Account, type Address, formatAddress, parseAddress, ValetkeyError } from '#client'

/** A client gives a call up after a minute, unless it is told otherwise. */
const LONGEST_WAIT_SECONDS = 50

/** What a tool answers. */
export type Shown = Readonly<Record<string, unknown>>

export const account = z
  .string()
  .max(200)
  .describe('An account, such as `github`, or `github/work` where there are several')

export const id = z.string().min(1).max(200)

export const wait = z
  .number()
  .int()
  .min(0)
  .max(LONGEST_WAIT_SECONDS)
  .default(0)
  .describe('How many seconds to wait for something to change before answering')

/** An account as a tool shows it. */
export function shownAccount(one: Account): Shown {
  const { providerId, displayName, status, reason, warnings, scopes } = one
  return {
    account: addressOf(one),
    provider: providerId,
    name: displayName,
    status,
    ...(reason !== null && { reason }),
    ...(warnings.length > 0 && { warnings }),
    ...(one.missingScopes.length > 0 && { missingScopes: one.missingScopes }),
    ...(scopes.length > 0 && { scopes }),
  }
}

export function addressOf({ providerId, bucket }: Account): string {
  return formatAddress({ provider: providerId, bucket })
}

export function writtenAddress(text: string): Address {
  const address = parseAddress(text)
  if (address !== undefined) return address
  throw new ValetkeyError('invalid-request', 'this is not written as an account is', {
    hint: 'write it like github, or github/work',
  })
}
