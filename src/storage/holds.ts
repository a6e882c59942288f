import type { Held } from '../model/storage.ts'

/** For an engine that one process has to itself: when that dies, nothing is held any more. */
export function holdsInMemory(): (owner: string, record: string, milliseconds: number) => Held | undefined {
  const ends = new Map<string, { readonly until: number }>()
  return (owner, record, milliseconds) => {
    const what = JSON.stringify([owner, record])
    const now = performance.now()
    if ((ends.get(what)?.until ?? 0) > now) return undefined
    const mine = { until: now + milliseconds }
    ends.set(what, mine)
    return {
      release: async () => {
        if (ends.get(what) === mine) ends.delete(what)
      },
    }
  }
}
