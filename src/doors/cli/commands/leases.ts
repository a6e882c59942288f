import type { Lease } from '#client'
import { examples } from '../examples.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { relative } from '../when.ts'
import { refuseUnknownWord } from './group.ts'

export const leases: Shape = (command, run) => {
  command
    .usage('[command] [options]')
    .argument('[command]', 'what to do; nothing lists them')
    .addHelpText('after', examples('leases', 'leases end lease-7f3a'))
    .action(async (word: string | undefined) => {
      refuseUnknownWord(command, word)
      await list(run)
    })

  command
    .command('end')
    .description('end a lease')
    .argument('<id>', 'as valetkey leases lists it')
    .addHelpText('after', examples('leases end lease-7f3a', 'leases end lease-7f3a --json'))
    .action(async (id: string) => {
      const { desk } = await run.reach()
      await desk.endLease(id)
      if (run.json) return run.terminal.document({ id })
      await run.terminal.note('this lease is over')
    })
}

async function list({ terminal, json, now, reach }: Run): Promise<void> {
  const { desk } = await reach()
  const found = await desk.leases()
  if (json) return terminal.document(found)
  if (found.length === 0) return terminal.note('nothing is lent')
  await terminal.columns(
    ['id', 'caller', 'address', 'what', 'since', 'times', 'ends'],
    found.map((lease) => row(lease, now())),
  )
}

function row(lease: Lease, now: Date): string[] {
  const { id, caller, address, verb, openedAt, count } = lease
  return [id, caller, address, verb, relative(openedAt, now), String(count), endOf(lease, now)]
}

function endOf({ until, endsBy, endedAt }: Lease, now: Date): string {
  if (endedAt !== null) return `ended ${relative(endedAt, now)}`
  return until === null ? `by ${endsBy}` : relative(until, now)
}
