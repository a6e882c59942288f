import type { Provider } from '../model/provider.ts'

export type PinsByHost = Readonly<Record<string, readonly string[]>>

/** What provider files pin. Where several speak of one host, any of their pins will do. */
export function pinsOf(providers: readonly Provider[]): PinsByHost {
  const all: Record<string, string[]> = {}
  for (const { pins } of providers)
    for (const [host, some] of Object.entries(pins)) all[host] = [...(all[host] ?? []), ...some]
  return all
}
