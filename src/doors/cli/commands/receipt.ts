import type { Receipt, ReceiptLine } from '#client'
import type { Run } from '../run.ts'

/** What died, and what could not. */
export async function printReceipt({ terminal }: Run, receipt: Receipt): Promise<void> {
  const { lines, leasesEnded, bindingsEnded } = receipt
  await terminal.answer(...lines.map(lineOfReceipt))
  if (leasesEnded > 0) await terminal.answer(`  leases ended: ${leasesEnded}`)
  if (bindingsEnded > 0) await terminal.answer(`  bindings ended: ${bindingsEnded}`)
}

export function lineOfReceipt({ what, died, how }: ReceiptLine): string {
  return `  ${died ? 'ended' : 'still alive'}: ${what}, ${how}`
}
