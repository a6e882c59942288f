import { ValetkeyError } from '#client'
import type { Authority, Provider, Variable } from '../model/provider.ts'
import { destinationOf } from './destination.ts'
import { placeholders } from './template.ts'

/** In the place of the API's hosts, whose variables do not matter here. */
const NO_HOST = 'api.invalid'

/** Where a provider's authorization server is; undefined while nobody knows. */
export function authorityOf(
  provider: Provider,
  vars: Readonly<Record<string, string>>,
  standIn: URL | undefined,
): Authority | undefined {
  const used = usedBy(provider)
  const values = Object.fromEntries(
    used.flatMap((variable) => {
      const value = vars[variable.name] || usual(variable)
      return value === undefined ? [] : [[variable.name, value]]
    }),
  )
  const isKnown = ({ name, default: byDefault, decided }: Variable) =>
    byDefault !== undefined || decided !== undefined || Object.hasOwn(values, name)
  if (!used.every(isKnown)) return undefined
  try {
    return destinationOf({ ...provider, vars: [...used], hosts: [NO_HOST] }, values, standIn)
  } catch (error) {
    if (error instanceof ValetkeyError && error.code === 'invalid-request') return undefined
    throw error
  }
}

function usual({ choices, default: byDefault, decided }: Variable): string | undefined {
  return byDefault === undefined && decided === undefined ? choices?.[0] : undefined
}

/** The variables of its endpoints, and those that decide them. */
function usedBy({ oauth, vars }: Provider): readonly Variable[] {
  const named = new Set(
    [...Object.values(oauth ?? {}), ...Object.values(oauth?.device ?? {})]
      .filter(isText)
      .flatMap(placeholders),
  )
  for (let size = -1; size !== named.size; ) {
    size = named.size
    for (const { default: byDefault = '', decided } of vars.filter(({ name }) => named.has(name)))
      for (const name of [...placeholders(byDefault), decided?.by ?? []].flat()) named.add(name)
  }
  return vars.filter(({ name }) => named.has(name))
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
