import { examples } from '../examples.ts'
import type { DemoSide, DemoTold } from '../hands.ts'
import { untilInterrupted } from '../interrupt.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { wholeNumber } from '../words.ts'
import { printReceipt } from './receipt.ts'

const MOST_PROGRAMS = 100

export const demo: Shape = (command, run) => {
  command
    .description('see twenty programs share one account, beside twenty that share a token file')
    .option('--programs <number>', 'how many of each', '20')
    .addHelpText('after', examples('demo', 'demo --programs 5 --json'))
    .action(async ({ programs }: { readonly programs: string }) => {
      const many = wholeNumber(programs, 'how many programs', 1, MOST_PROGRAMS)
      const told = await untilInterrupted(run, ({ or }) =>
        or(run.demo({ programs: many, tell: (line) => run.terminal.note(line) })),
      )
      if (run.json) return run.terminal.document(told)
      await print(run, told)
    })
}

const ROWS: readonly (readonly [string, keyof DemoSide])[] = [
  ['were answered', 'answered'],
  ['were logged out', 'loggedOut'],
  ['had a token in hand', 'holdingTokens'],
  ['renewals at the provider', 'refreshes'],
  ['requests answered', 'requests'],
]

async function print(run: Run, { valetkey, tokenFile, revoked }: DemoTold): Promise<void> {
  const { terminal } = run
  await terminal.answer('')
  await terminal.columns(
    [`${valetkey.programs} programs`, 'through valetkey', 'with a token file'],
    ROWS.map(([name, what]) => [name, String(valetkey[what]), String(tokenFile[what])]),
  )
  await terminal.answer('', 'the receipt:')
  await printReceipt(run, revoked.receipt)
  const { stopped, lastByteAfter, lastHeardAfter } = revoked
  await terminal.answer(
    '',
    `all ${stopped} stopped: the last answer came ${lastByteAfter} ms after the revocation was asked for,`,
    `and the last program knew of it after ${lastHeardAfter} ms`,
  )
}
