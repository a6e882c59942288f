import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../../test/leave.ts'
import { fileSource } from './file.ts'

const notRoot = process.getuid?.() !== 0
const asRoot = notRoot ? ' (skipped: only root can give a file or a connection to another user)' : ''

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
})
afterEach(() => leave(folder))

const refused = (code: string, hint = folder) =>
  expect.objectContaining({ code, hint: expect.stringContaining(hint) })

async function created() {
  const source = fileSource(folder)
  const { key, remembered } = await source.create()
  return { source, key, remembered, path: join(folder, String(remembered['file'])) }
}

describe('a key in a file', () => {
  it('[security 19.7] is found again, in a file for its owner alone', async () => {
    const { source, key, remembered, path } = await created()
    expect(key.revealBytes()).toHaveLength(32)
    expect((await source.obtain(remembered)).reveal()).toBe(key.reveal())
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toHaveLength(1)
    expect(JSON.stringify(remembered)).not.toContain((await readFile(path, 'utf8')).trim())
    await source.discard?.(remembered)
    await source.discard?.(remembered)
    expect(await readdir(folder)).toEqual([])
  })

  it('[security 19.7] makes its folder for its owner alone', async () => {
    const deeper = join(folder, 'config', 'valetkey')
    await fileSource(deeper).create()
    expect((await stat(deeper)).mode & 0o777).toBe(0o700)
  })

  it('[security 19.7] is refused where others may read it', async () => {
    const { source, remembered, path } = await created()
    await chmod(path, 0o640)
    await expect(source.obtain(remembered)).rejects.toEqual(refused('unsafe-folder', path))
    await chmod(path, 0o600)
    await chmod(folder, 0o755)
    await expect(source.obtain(remembered)).rejects.toEqual(refused('unsafe-folder'))
    await expect(source.create()).rejects.toEqual(refused('unsafe-folder'))
    expect(await readdir(folder)).toHaveLength(1)
  })

  it.skipIf(notRoot)(`[security 19.7] is refused where it is somebody else’s${asRoot}`, async () => {
    const { source, remembered, path } = await created()
    await chown(path, 65_534, 65_534)
    await expect(source.obtain(remembered)).rejects.toEqual(refused('unsafe-folder', path))
  })

  it('[security 19.7] is refused where it is a link, and so is its folder', async () => {
    const { source, remembered, path } = await created()
    await rename(path, join(folder, 'moved'))
    await symlink(join(folder, 'moved'), path)
    await expect(source.obtain(remembered)).rejects.toEqual(refused('unsafe-folder', path))
    const real = join(folder, 'real')
    await mkdir(real, { mode: 0o700 })
    await symlink(real, join(folder, 'link'))
    await expect(fileSource(join(folder, 'link')).create()).rejects.toEqual(refused('unsafe-folder'))
    expect(await readdir(real)).toEqual([])
  })

  it('says where it was looked for when it is missing or damaged', async () => {
    const { source, remembered, path } = await created()
    for (const text of ['', 'x', 'x'.repeat(10_000)]) {
      await writeFile(path, text)
      await expect(source.obtain(remembered)).rejects.toEqual(refused('wrong-key', path))
    }
    await rm(path)
    await expect(source.obtain(remembered)).rejects.toEqual(refused('wrong-key', path))
    await leave(folder)
    await expect(source.obtain(remembered)).rejects.toEqual(refused('wrong-key', path))
    await mkdir(folder, { mode: 0o700 })
  })

  it('is not looked for outside its folder, whatever the vault says', async () => {
    for (const file of ['../master-0123456789abcdef.key', '/etc/passwd', 'master.key', 7])
      await expect(fileSource(folder).obtain({ file })).rejects.toEqual(refused('wrong-key'))
    await expect(fileSource(folder).obtain({})).rejects.toEqual(refused('wrong-key'))
  })
})
