import type { Read, References } from '../../model/references.ts'
import { readByProgram } from './exec.ts'
import { readFromOnePassword } from './one-password.ts'
import type { Surroundings } from './surroundings.ts'
import { malformed } from './unread.ts'
import { readFromVault } from './vault.ts'

type Reading = (reference: string, around: Surroundings) => Promise<Read>

const READINGS: ReadonlyArray<readonly [begins: string, Reading]> = [
  ['op://', readFromOnePassword],
  ['vault://', readFromVault],
  ['exec:', readByProgram],
]

/** Nothing that could end a line, or that a person could not see. */
const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]{1,512}$/u

/** The references that this computer can follow. */
export function machineReferences(around: Surroundings): References {
  return {
    async read(text) {
      const reference = text.trim()
      if (!PRINTABLE.test(reference))
        throw malformed('it is too long, or not all of it can be seen', 'write it on one line')
      const [, reading] = READINGS.find(([begins]) => reference.startsWith(begins)) ?? []
      if (reading !== undefined) return reading(reference, around)
      throw malformed('nothing here can follow it', 'op://…, vault://mount/path#field or exec:/path')
    },
  }
}
