import { appendFileSync, existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { scanFolder } from '../scripts/canary-scan.mjs'

/** Where a run gathers what was found in folders that are gone when it ends. */
export const LEFT_FILE = 'left.jsonl'

/**
 * Removes a test's folder. A whole run looks into it first: a secret that lies open in a vault, a log or
 * a configuration is found although its home does not outlive its test.
 */
export async function leave(folder: string, isLookedAt?: (path: string) => boolean): Promise<void> {
  const keep = process.env['VALETKEY_CANARY_KEEP']
  if (keep !== undefined && existsSync(folder)) {
    const { scanned, finds } = scanFolder(folder, isLookedAt)
    const places = finds.map((find) => ({ ...find, path: relative(folder, find.path) }))
    appendFileSync(join(keep, LEFT_FILE), `${JSON.stringify({ scanned, finds: places })}\n`)
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
