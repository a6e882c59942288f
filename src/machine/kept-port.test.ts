import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { leave } from '../../test/leave.ts'
import { keptPort } from './kept-port.ts'

async function file(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  onTestFinished(() => leave(folder))
  return join(folder, 'port')
}

describe('the port that programs were told of', () => {
  it('is the same for whoever comes next', async () => {
    const kept = await file()
    expect(await keptPort(kept).read()).toBeUndefined()
    await keptPort(kept).keep(40_123)
    expect(await keptPort(kept).read()).toBe(40_123)
    await keptPort(kept).keep(40_124)
    expect(await keptPort(kept).read()).toBe(40_124)
  })

  it.each(['', '80', '99999', 'forty', '40123\n40124'])('is nothing where the file says %j', async (text) => {
    const kept = await file()
    await writeFile(kept, text, { mode: 0o600 })
    expect(await keptPort(kept).read()).toBeUndefined()
  })
})
