import { describe, it } from 'vitest'

/** One promise of a contract, apart from any test runner, so that a broken double can be held to it too. */
export interface Check {
  readonly name: string
  /** Why it is not told here: what it needs is not there. */
  readonly skipped?: string
  run(): Promise<void>
}

export function tell(title: string, checks: readonly Check[]): void {
  describe(title, () => {
    for (const { name, skipped, run } of checks)
      if (skipped === undefined) it(name, run)
      else it.skip(`${name} (skipped: ${skipped})`, run)
  })
}

/** The names of the promises that are not kept. */
export async function brokenPromises(checks: readonly Check[]): Promise<readonly string[]> {
  const broken: string[] = []
  for (const check of checks.filter(({ skipped }) => skipped === undefined))
    await check.run().catch(() => broken.push(check.name))
  return broken
}
