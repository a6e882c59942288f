import type { Imported, ImportOptions } from '#client'
import type { Caller } from '../../model/caller.ts'
import type { Secret } from '../../model/secret.ts'
import { openExport } from '../../vault/export-opening.ts'
import { behind, type Kit } from '../kit.ts'
import { judgeAll } from './import-arrivals.ts'
import { knownHere, withNamesake } from './import-namesakes.ts'
import { takeIn } from './import-writing.ts'

/** So many are written in one transaction: a small export wholly or not at all, and every account wholly. */
const AT_ONCE = 500

interface ImportRequest extends ImportOptions {
  readonly document: string
  readonly passphrase: Secret
}

/**
 * Takes in what was exported elsewhere. The document is read as a whole or not at all; then every account
 * is judged by itself, and one that is refused keeps none of the others out.
 */
export async function importVault(
  kit: Kit,
  caller: Caller,
  { document, passphrase, replace = false }: ImportRequest,
): Promise<readonly Imported[]> {
  const passage = await kit.gate.pass(caller, 'import', { name: 'the vault' })
  const { lines } = await behind(
    passage,
    async () => {
      const judged = await judgeAll(kit, caller, await openExport(document, passphrase))
      const known = await knownHere(kit, caller)
      const all = { lines: [] as Imported[], bindings: 0, clients: 0 }
      for (let at = 0; at < judged.length; at += AT_ONCE) {
        const written = await takeIn(kit, judged.slice(at, at + AT_ONCE), replace)
        all.lines.push(...written.map((one) => withNamesake(one, known)))
        for (const { bound = [], brought = false } of written) {
          all.bindings += bound.length
          all.clients += brought ? 1 : 0
        }
      }
      return all
    },
    counted,
  )
  return lines
}

interface Counted {
  readonly lines: readonly Imported[]
  readonly bindings: number
  readonly clients: number
}

function counted({ lines, bindings, clients }: Counted): string {
  const outcomes = Map.groupBy(lines, ({ outcome }) => outcome)
  return [
    ...[...outcomes].map(([outcome, { length }]) => `${length} ${outcome}`),
    ...(bindings === 0 ? [] : [bindings === 1 ? '1 binding' : `${bindings} bindings`]),
    ...(clients === 0 ? [] : [clients === 1 ? '1 client' : `${clients} clients`]),
  ].join(', ')
}
