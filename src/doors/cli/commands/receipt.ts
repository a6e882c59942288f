import type { CallerReceipt, Fate, LivesOn, Receipt, ReceiptLine } from '#client'
import type { Run } from '../run.ts'
import { relative } from '../when.ts'

const FATES: Readonly<Record<Fate, string>> = { died: 'ended', queued: 'queued', alive: 'still alive' }

/** What died, and what could not. */
export async function printReceipt(run: Run, receipt: Receipt): Promise<void> {
  const lives = receipt.livesOn.map((one) => lineOfLife(one, run.now()))
  await run.terminal.answer(...receipt.lines.map(lineOfReceipt), ...lives, ...counts(receipt))
}

export async function printCallerReceipt(run: Run, receipt: CallerReceipt): Promise<void> {
  const lives = receipt.livesOn.map((one) => {
    const verb = one.until === null ? 'rotate' : 'revoke'
    return `${lineOfLife(one, run.now())}; to end it before: valetkey ${verb} ${one.address}`
  })
  await run.terminal.answer(...lives, ...counts(receipt))
}

export function lineOfReceipt({ what, state, how }: ReceiptLine): string {
  return `  ${FATES[state]}: ${what}, ${how}`
}

function lineOfLife({ address, caller, until }: LivesOn, now: Date): string {
  const end = until === null ? 'and never dies by itself' : `and dies by itself ${relative(until, now)}`
  return `  still usable: what ${caller} has of ${address}, ${end}`
}

function counts({ leasesEnded, bindingsEnded }: Pick<Receipt, 'leasesEnded' | 'bindingsEnded'>): string[] {
  return [
    ...(leasesEnded > 0 ? [`  leases ended: ${leasesEnded}`] : []),
    ...(bindingsEnded > 0 ? [`  bindings ended: ${bindingsEnded}`] : []),
  ]
}
