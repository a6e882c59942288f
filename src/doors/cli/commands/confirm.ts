import { ValetkeyError } from '#client'
import { usage } from '../failure.ts'
import type { Run } from '../run.ts'

/** Before what cannot be undone. Where nobody can be asked, the consent must be in the command. */
export async function confirm(run: Run, message: string, yes: true | undefined): Promise<void> {
  if (yes) return
  const { interactive, prompts } = run.terminal
  if (!interactive) throw usage('this cannot be undone, and nobody can be asked here', 'add --yes to do it')
  if (!(await prompts.confirm({ message }))) throw new ValetkeyError('cancelled', 'cancelled')
}
