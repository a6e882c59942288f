import type { Desk, Lease } from '#client'
import { examples } from '../examples.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { relative } from '../when.ts'
import { refuseUnknownWord } from './group.ts'
import { lineOfReceipt } from './receipt.ts'

export const leases: Shape = (command, run) => {
  command
    .usage('[command] [options]')
    .argument('[command]', 'what to do; nothing lists them')
    .option('--ended', 'those that ended within the last day, instead of those that live')
    .addHelpText('after', examples('leases', 'leases --ended'))
    .action(async (word: string | undefined, { ended }: { ended?: true }) => {
      refuseUnknownWord(command, word)
      await list(run, ended ?? false)
    })

  command
    .command('end')
    .description('end a lease')
    .argument('<id>', 'as valetkey leases lists it')
    .addHelpText('after', examples('leases end lease-7f3a', 'leases end lease-7f3a --json'))
    .action(async (id: string) => {
      const { desk } = await run.reach()
      const ended = await desk.endLease(id)
      if (run.json) return run.terminal.document(ended)
      await run.terminal.answer(`ended ${ended.lease.id}`, ...ended.lines.map(lineOfReceipt))
      await tellOfBinding(run, desk, ended.lease)
    })
}

/** A lease that was ended may be followed by another, while the binding stands. */
async function tellOfBinding({ terminal }: Run, desk: Desk, { caller, accountId }: Lease): Promise<void> {
  const bindings = await desk.bindings().catch(() => [])
  const standing = bindings.find((one) => one.caller === caller && one.accountId === accountId)
  if (standing === undefined) return
  await terminal.note(`to keep it from coming back: valetkey unbind ${standing.id}`)
}

async function list({ terminal, json, now, reach }: Run, ended: boolean): Promise<void> {
  const { desk } = await reach()
  const found = await desk.leases(ended ? { ended } : {})
  if (json) return terminal.document(found)
  if (found.length === 0)
    return terminal.note(ended ? 'nothing ended within the last day' : 'nothing is lent')
  await terminal.columns(
    ['id', 'caller', 'address', 'what', 'for', 'since', 'times', 'last', 'ends'],
    found.map((lease) => row(lease, now())),
  )
}

function row(lease: Lease, now: Date): string[] {
  const { id, caller, address, verb, purpose, openedAt, count, lastUsedAt } = lease
  const what = [id, caller, address, verb, purpose ?? '']
  return [...what, relative(openedAt, now), String(count), relative(lastUsedAt, now), endOf(lease, now)]
}

function endOf({ until, endsBy, endedAt }: Lease, now: Date): string {
  if (endedAt !== null) return `ended ${relative(endedAt, now)}${endsBy === 'ended' ? '' : `, by ${endsBy}`}`
  if (until === null) return `by ${endsBy}`
  return endsBy === 'forward' ? relative(until, now) : `${relative(until, now)}, by ${endsBy}`
}
