const PLACEHOLDER = /\{([a-zA-Z][a-zA-Z0-9_]*)\}/g

/** The names of the variables that stand in a host or a link. */
export function placeholders(text: string): readonly string[] {
  return [...text.matchAll(PLACEHOLDER)].flatMap(([, name]) => name ?? [])
}

/** Puts values in the places of their names; what is not among them stays as it is. */
export function fill(text: string, values: ReadonlyMap<string, string>): string {
  return text.replaceAll(PLACEHOLDER, (whole, name: string) => values.get(name) ?? whole)
}
