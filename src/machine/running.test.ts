import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { markOf } from './running.ts'

describe('the mark of a process', () => {
  it('is the same for as long as it runs, and gone with it', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    await once(child, 'spawn')
    const { pid = 0 } = child
    const mark = markOf(pid)
    expect(mark).toBeTypeOf('string')
    expect(markOf(pid)).toBe(mark)
    expect(markOf(process.pid)).not.toBe(mark)
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
    expect(markOf(pid)).toBeUndefined()
  })

  it('is there for a process of another user, and for nobody that never was', () => {
    expect(markOf(1)).toBeTypeOf('string')
    expect(markOf(2 ** 22 + 1)).toBeUndefined()
  })
})
