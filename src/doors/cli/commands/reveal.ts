import { type Desk, type Lent, ValetkeyError } from '#client'
import { THE_PERSON } from '../../../model/caller.ts'
import { examples } from '../examples.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { moment } from '../when.ts'
import { writtenAddress } from '../words.ts'

const SHOWN_FOR = '10m'

export const reveal: Shape = (command, run) => {
  command
    .argument('<address>', 'the account, such as openai')
    .addHelpText('after', examples('reveal openai', 'reveal datadog --json'))
    .action(async (account: string) => {
      const address = writtenAddress(account)
      const { desk } = await run.reach()
      await show(run, await revealed(run, desk, address))
    })
}

/** The owner gives the permission on the spot; where nobody can be asked, the refusal stands. */
async function revealed(run: Run, desk: Desk, address: string): Promise<Lent> {
  try {
    return await desk.reveal({ address })
  } catch (error) {
    const refused = error instanceof ValetkeyError && error.code === 'not-allowed'
    if (!refused || !run.terminal.interactive) throw error
    await permit(run, desk, address)
    return desk.reveal({ address })
  }
}

async function permit(run: Run, desk: Desk, address: string): Promise<void> {
  const message = `show the secret of ${address} here? it never dies by itself`
  if (!(await run.terminal.prompts.confirm({ message }))) throw new ValetkeyError('cancelled', 'cancelled')
  const until = moment(SHOWN_FOR, run.now(), 'ahead')
  const { id } = await desk.bind({ caller: THE_PERSON, address, may: ['reveal'], asks: 'never', until })
  await run.terminal.note(`you may reveal it for 10 minutes; valetkey unbind ${id} ends that at once`)
}

async function show({ terminal, json }: Run, lent: Lent): Promise<void> {
  if (json) return terminal.document(lent)
  const fields = Object.entries(lent.fields)
  if (fields.length < 2) return terminal.answer(lent.token)
  await terminal.answer(...fields.map(([name, value]) => `${name}=${value}`))
}
