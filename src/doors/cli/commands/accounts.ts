import { type Account, formatAddress } from '#client'
import { examples } from '../examples.ts'
import type { Shape } from '../shape.ts'
import { relative } from '../when.ts'

export const accounts: Shape = (command, run) => {
  command.addHelpText('after', examples('accounts', 'accounts --json')).action(async () => {
    const { terminal } = run
    const { desk } = await run.reach()
    const found = await desk.accounts()
    if (run.json) return terminal.document(found)
    if (found.length === 0) return terminal.note('no accounts yet', '  hint: valetkey connect')
    const heading = ['address', 'state', 'account', 'access ends', 'last used', 'note']
    await terminal.columns(
      heading,
      found.map((account) => row(account, run.now())),
    )
  })
}

function row(account: Account, now: Date): string[] {
  const { status, displayName, tokenExpiresAt, lastUsedAt, forwardOnly } = account
  return [
    formatAddress({ provider: account.providerId, bucket: account.bucket }),
    status,
    displayName,
    forwardOnly ? 'never' : relative(tokenExpiresAt, now),
    lastUsedAt === null ? 'never' : relative(lastUsedAt, now),
    noteOf(account, now),
  ]
}

function noteOf(
  { reason, warnings, missingScopes, forwardOnly, references = {}, diesAt }: Account,
  now: Date,
): string {
  const told = warnings.map((one) => {
    if (one === 'expiring' && diesAt) return `${one} ${relative(diesAt, now)}`
    return one === 'missing-scopes' ? `${one} ${missingScopes.join(' ')}` : one
  })
  const elsewhere = Object.entries(references).map(([field, text]) => `${field} is read from ${text}`)
  return [reason, ...told, forwardOnly ? 'forward only' : null, ...elsewhere].filter(Boolean).join(', ')
}
