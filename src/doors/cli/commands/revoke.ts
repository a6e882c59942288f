import type { Pending, Receipt } from '#client'
import { examples } from '../examples.ts'
import { usage } from '../failure.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { relative } from '../when.ts'
import { callerOf, writtenAddress } from '../words.ts'
import { confirm } from './confirm.ts'
import { printCallerReceipt, printReceipt } from './receipt.ts'

interface Options {
  readonly caller?: string
  readonly all?: true
  readonly pending?: true
  readonly yes?: true
}

export const revoke: Shape = (command, run) => {
  command
    .argument('[address]', 'the account, such as github/work')
    .option('--caller <caller>', 'end what one caller may use; the accounts stay')
    .option('--all', 'end all accounts')
    .option('--pending', 'list what providers have still to be told')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', examples('revoke github/work', 'revoke --caller app:reports'))
    .action(async (account: string | undefined, options: Options) => {
      const { caller, all, pending, yes } = options
      if ([account, caller, all, pending].filter((one) => one !== undefined).length !== 1)
        throw usage('revoke what?', 'an account, --caller <caller>, --all or --pending')
      if (account !== undefined) await revokeOne(run, writtenAddress(account), yes)
      if (caller !== undefined) await revokeCaller(run, callerOf(caller))
      if (all) await revokeAll(run, yes)
      if (pending) await listPending(run)
    })
}

async function revokeOne(run: Run, address: string, yes: true | undefined): Promise<void> {
  await confirm(run, `end ${address} for good, with all its leases and bindings?`, yes)
  const { desk } = await run.reach()
  const receipt = await desk.revoke(address)
  if (run.json) return run.terminal.document(receipt)
  await printRevoked(run, [receipt])
}

async function revokeCaller(run: Run, caller: string): Promise<void> {
  const { desk } = await run.reach()
  const receipt = await desk.revokeCaller(caller)
  if (run.json) return run.terminal.document(receipt)
  await run.terminal.answer(`${caller} may use nothing any more`)
  await printCallerReceipt(run, receipt)
}

async function revokeAll(run: Run, yes: true | undefined): Promise<void> {
  await confirm(run, 'end all your accounts for good, with all leases and bindings?', yes)
  const { desk } = await run.reach()
  const receipts = await desk.revokeAll()
  if (run.json) return run.terminal.document(receipts)
  await printRevoked(run, receipts)
}

/** One after the other, and in the end what is still to be done about them. */
export async function printRevoked(run: Run, receipts: readonly Receipt[]): Promise<void> {
  const { terminal } = run
  if (receipts.length === 0) await terminal.note('there are no accounts')
  for (const receipt of receipts) {
    await terminal.answer(`revoked ${receipt.address}`)
    await printReceipt(run, receipt)
  }
  const waiting = receipts.filter(({ lines }) => lines.some(({ state }) => state === 'queued')).length
  if (waiting > 0)
    await terminal.note('what is queued is told by itself; to see it: valetkey revoke --pending')
}

async function listPending({ terminal, json, now, reach }: Run): Promise<void> {
  const { desk } = await reach()
  const found = await desk.outbox()
  if (json) return terminal.document(found)
  if (found.length === 0) return terminal.note('no provider has to be told anything')
  const heading = ['address', 'since', 'tries', 'next try', 'given up', 'last trouble']
  await terminal.columns(
    heading,
    found.map((one) => row(one, now())),
  )
}

function row({ address, since, tries, nextTryAt, until, reason }: Pending, now: Date): string[] {
  const times = [relative(since, now), String(tries), relative(nextTryAt, now), relative(until, now)]
  return [address, ...times, reason ?? '']
}
