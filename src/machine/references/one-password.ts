import { realpath } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import type { Read } from '../../model/references.ts'
import { valueIn } from './exec.ts'
import { refuseStrange, saidBy, surroundingsFor } from './program.ts'
import type { Surroundings } from './surroundings.ts'
import { malformed, unread } from './unread.ts'

/** A person may have to put a finger on something first. */
const SECONDS = 30
const FORM = /^op:\/\/[^/]+\/[^/]+\/.+$/
const HINT = 'sign in to 1Password on this computer (op signin), and check the reference'

/** `op://vault/item/field`, read by the command of 1Password, with whose session or token is its own business. */
export async function readFromOnePassword(reference: string, { env }: Surroundings): Promise<Read> {
  if (!FORM.test(reference)) throw malformed('it does not name a field', 'op://vault/item/field')
  const program = await found(env)
  if (program === undefined)
    throw unread(reference, 'there is no command "op" on the path', 'install the command of 1Password')
  await refuseStrange(reference, program)
  const words = ['read', '--no-newline', reference]
  const surroundings = surroundingsFor(env, ['OP_'])
  const said = await saidBy({ reference, program, words, env: surroundings, seconds: SECONDS, hint: HINT })
  return { value: valueIn(reference, said), until: null }
}

/** Where the path leads to at this moment, and never by a step that is relative. */
async function found({ PATH = '' }: NodeJS.ProcessEnv): Promise<string | undefined> {
  const name = process.platform === 'win32' ? 'op.exe' : 'op'
  for (const folder of PATH.split(delimiter).filter((step) => isAbsolute(step))) {
    const program = await realpath(join(folder, name)).catch(() => undefined)
    if (program !== undefined) return program
  }
  return undefined
}
