import { readFileSync } from 'node:fs'

/**
 * What tells a process that runs from every other that has its number before or after it, until the computer
 * starts again: when it began, counted from the start of the computer, so that nobody's setting of the clock
 * moves it. Undefined where it does not run. Where the system does not say, its number alone has to do.
 */
export function markOf(pid: number): string | undefined {
  if (!isThere(pid)) return undefined
  if (process.platform !== 'linux') return 'running'
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name in brackets may hold blanks and brackets of its own; the fields are counted after it.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // It has ended already, and only nobody has asked yet how.
    return state === 'Z' || state === 'X' ? undefined : `${boot} ${fields[18]}`
  } catch {
    return undefined
  }
}

/** Another user's is there as well, though nothing may be sent to it. */
function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
