import type { Receipt } from '#client'
import type { Run } from '../run.ts'

/** What died, and what could not. */
export async function printReceipt({ terminal }: Run, receipt: Receipt): Promise<void> {
  const { lines, leasesEnded, bindingsEnded } = receipt
  await terminal.answer(
    ...lines.map(({ what, died, how }) => `  ${died ? 'ended' : 'still alive'}: ${what}, ${how}`),
  )
  if (leasesEnded > 0) await terminal.answer(`  leases ended: ${leasesEnded}`)
  if (bindingsEnded > 0) await terminal.answer(`  bindings ended: ${bindingsEnded}`)
}
