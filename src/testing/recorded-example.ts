import { wornFields } from '../model/provider/worn.ts'
import type { Provider } from '../model/provider.ts'
import { canary } from './canary.ts'
import type { ProviderExample } from './provider-contract.ts'
import { recordedSchema, withSecrets } from './recorded-shape.ts'

/** What was recorded of a provider, as the example that its contract is tried with; and keys that are none. */
export function exampleFrom({ signIns }: Provider, shape: unknown): ProviderExample {
  const { vars, fields, expect } = withSecrets(recordedSchema.parse(shape))
  const byKey = signIns.find(({ fields, present }) =>
    fields.some(({ name, secret }) => secret && present.flatMap(wornFields).includes(name)),
  )
  const asked = byKey?.fields ?? []
  const names = asked.map(({ name }) => name)
  const known = Object.entries(fields)
  return {
    recorded: true,
    vars: {
      ...Object.values(expect).find((one) => one.vars)?.vars,
      ...vars,
      ...Object.fromEntries(known.filter(([name]) => !names.includes(name))),
    },
    good: Object.fromEntries(known.filter(([name]) => names.includes(name))),
    bad: Object.fromEntries(asked.map(({ name, pattern }) => [name, pattern ? 'no key' : unsendable(name)])),
  }
}

function unsendable(name: string): string {
  return `${canary(name)}\nx-other: 1`
}
