import { ValetkeyError } from '#client'
import type { Wish } from '../../model/mint.ts'

const CALLED = { scopes: 'scopes', audience: 'an audience', repositories: 'repositories' } as const

/** What cannot be wished here is refused and not left out: whoever wished it would be lent more. */
export function refuseWished(wish: Wish, unknown: readonly (keyof Wish)[], why: string): void {
  const wished = unknown.find((name) => wish[name] !== undefined)
  if (wished === undefined) return
  throw new ValetkeyError('invalid-request', why, { hint: `leave out ${CALLED[wished]}` })
}
