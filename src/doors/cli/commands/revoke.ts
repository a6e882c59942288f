import { examples } from '../examples.ts'
import type { Shape } from '../shape.ts'
import { writtenAddress } from '../words.ts'
import { confirm } from './confirm.ts'
import { printReceipt } from './receipt.ts'

export const revoke: Shape = (command, run) => {
  command
    .argument('<address>', 'the account, such as github/work')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', examples('revoke github/work', 'revoke openai --yes --json'))
    .action(async (account: string, { yes }: { yes?: true }) => {
      const address = writtenAddress(account)
      await confirm(run, `end ${address} for good, with all its leases and bindings?`, yes)
      const { desk } = await run.reach()
      const receipt = await desk.revoke(address)
      if (run.json) return run.terminal.document(receipt)
      await run.terminal.answer(`revoked ${receipt.address}`)
      await printReceipt(run, receipt)
    })
}
