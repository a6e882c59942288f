/** RFC 6901; undefined where it leads to nothing, and all of it for an empty one. */
export function valueAt(value: unknown, pointer: string): unknown {
  if (pointer === '') return value
  const keys = pointer
    .slice(1)
    .split('/')
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
  return keys.reduce<unknown>(
    (inside, key) =>
      typeof inside === 'object' && inside !== null && Object.hasOwn(inside, key)
        ? (inside as Record<string, unknown>)[key]
        : undefined,
    value,
  )
}

/** A name or a number that stands there. */
export function textAt(value: unknown, pointer: string | undefined): string | undefined {
  const found = pointer === undefined ? undefined : valueAt(value, pointer)
  return typeof found === 'string' || typeof found === 'number' ? String(found) : undefined
}
