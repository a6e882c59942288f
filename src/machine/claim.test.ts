import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../test/leave.ts'
import { claim } from './claim.ts'

describe('a claim', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  })
  afterEach(() => leave(folder))

  it('is given to one of many, and to the next when that one is done', async () => {
    const path = join(folder, 'turn')
    const given = (await Promise.all(Array.from({ length: 10 }, () => claim(path)))).filter(Boolean)
    expect(given).toHaveLength(1)
    await given[0]?.()
    expect(await claim(path)).toBeDefined()
  })

  it('ends with the process that had it', async () => {
    const { pid } = spawnSync(process.execPath, ['--version'])
    await symlink(String(pid), join(folder, 'turn'))
    expect(await claim(join(folder, 'turn'))).toBeUndefined()
    expect(await claim(join(folder, 'turn'))).toBeDefined()
  })

  it('stops nobody where none can be written', async () => {
    expect(await claim(join(folder, 'no', 'such', 'folder'))).toBeDefined()
    expect(await readdir(folder)).toEqual([])
  })
})
