import type { Provider } from '../model/provider.ts'
import type { Flaw } from './judge-host.ts'
import { issuedBy } from './judge-oauth.ts'

/** A variable that nothing is ever put into would say nothing, and so is refused. */
export function* flawsOfPrograms(provider: Provider): Generator<Flaw> {
  const { programs, signIns } = provider
  if (programs === undefined) return
  const fields = signIns.flatMap((signIn) => [
    ...signIn.fields.map(({ name }) => name),
    ...issuedBy(provider, signIn),
  ])
  for (const name of Object.keys(programs.fields))
    if (!fields.includes(name))
      yield { field: 'programs.fields', words: `names the field "${name}", which is not among fields` }
  const { baseUrl, key } = programs
  if ((baseUrl?.variables.length ?? 0) > 0 !== key.length > 0)
    yield { field: 'programs', words: 'must have baseUrl and key, or neither' }
}
