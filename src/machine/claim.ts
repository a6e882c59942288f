import { readlink, rm, symlink } from 'node:fs/promises'
import { errnoOf } from './disk-trouble.ts'

/**
 * Among processes that are about to do the same, lets one go first: it gets what ends its claim, the
 * others nothing for now. A claim ends with its process. It keeps the crowd away and is no lock: where
 * none can be written everybody goes.
 */
export async function claim(path: string): Promise<(() => Promise<void>) | undefined> {
  try {
    // A link is there with all that it says, or not at all.
    await symlink(String(process.pid), path)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') return async () => {}
    if (!lives(Number(await readlink(path).catch(() => '')))) await rm(path, { force: true })
    return undefined
  }
  return () => rm(path, { force: true })
}

function lives(pid: number): boolean {
  if (!(pid > 0)) return false
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
}
