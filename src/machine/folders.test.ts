import { chmod, chown, lchown, lstat, mkdir, mkdtemp, readdir, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../test/leave.ts'
import { diskTrouble } from './disk-trouble.ts'
import { privateFolder } from './folders.ts'

let temp: string
beforeEach(async () => {
  temp = await mkdtemp(join(tmpdir(), 'valetkey-'))
})
afterEach(() => leave(temp))

const unsafe = { code: 'unsafe-folder', hint: expect.any(String) }
const modeOf = async (path: string) => ((await lstat(path)).mode & 0o7777).toString(8)

describe('a private folder', () => {
  it('[security 18.1] is made 0700, its parents too, whatever the umask says', async () => {
    const before = process.umask(0)
    try {
      await privateFolder(join(temp, 'a', 'b'))
    } finally {
      process.umask(before)
    }
    expect([await modeOf(join(temp, 'a')), await modeOf(join(temp, 'a', 'b'))]).toEqual(['700', '700'])
    await privateFolder(join(temp, 'a', 'b'))
  })

  it('is closed when others could only read it', async () => {
    await mkdir(join(temp, 'a'))
    await chmod(join(temp, 'a'), 0o755)
    await expect(privateFolder(join(temp, 'a'), { tighten: false })).rejects.toMatchObject(unsafe)
    expect(await modeOf(join(temp, 'a'))).toBe('755')
    await privateFolder(join(temp, 'a'))
    expect(await modeOf(join(temp, 'a'))).toBe('700')
  })

  it.each([0o770, 0o720, 0o702, 0o777, 0o1777])(
    '[security 18.1] is refused when others could write it: %o',
    async (mode) => {
      await mkdir(join(temp, 'a'))
      await chmod(join(temp, 'a'), mode)
      await expect(privateFolder(join(temp, 'a'))).rejects.toMatchObject(unsafe)
      expect(await modeOf(join(temp, 'a'))).toBe(mode.toString(8))
    },
  )

  it('[security 18.1] is refused as a symbolic link, and what it points to is left alone', async () => {
    await mkdir(join(temp, 'real'), { mode: 0o755 })
    await symlink(join(temp, 'real'), join(temp, 'link'))
    await expect(privateFolder(join(temp, 'link'))).rejects.toMatchObject(unsafe)
    expect(await modeOf(join(temp, 'real'))).toBe('755')
    await symlink(join(temp, 'nowhere'), join(temp, 'dangling'))
    await expect(privateFolder(join(temp, 'dangling'))).rejects.toMatchObject(unsafe)
  })

  it('is refused where a file lies', async () => {
    await writeFile(join(temp, 'a'), '')
    await expect(privateFolder(join(temp, 'a'))).rejects.toMatchObject(unsafe)
    await expect(privateFolder(join(temp, 'a', 'b'))).rejects.toMatchObject(unsafe)
  })

  it('[security 18.1] is refused when it is somebody else’s', async () => {
    const theirs = process.getuid?.() === 0 ? join(temp, 'theirs') : '/usr'
    await privateFolder(join(temp, 'theirs'))
    if (process.getuid?.() === 0) await chown(theirs, 65534, 65534)
    await expect(privateFolder(theirs)).rejects.toMatchObject({ ...unsafe, message: /another user/ })
  })

  it('is refused below somebody else’s folder in a place that everybody writes', async (context) => {
    if (process.getuid?.() !== 0) context.skip('only root can make a folder that is another user’s')
    await chmod(temp, 0o1777)
    await mkdir(join(temp, 'theirs', 'ours'), { recursive: true, mode: 0o700 })
    await chown(join(temp, 'theirs'), 65534, 65534)
    await expect(privateFolder(join(temp, 'theirs', 'ours'))).rejects.toMatchObject(unsafe)
  })

  it('is refused below a folder in which everybody can rename, and nothing is made there', async () => {
    await chmod(temp, 0o777)
    await expect(privateFolder(join(temp, 'a', 'b'))).rejects.toMatchObject({
      ...unsafe,
      message: /everybody/,
    })
    expect(await readdir(temp)).toEqual([])
  })

  it('[security 18.1] is not made through somebody else’s link or folder before it is refused', async (context) => {
    if (process.getuid?.() !== 0) context.skip('only root can make a link that is another user’s')
    await mkdir(join(temp, 'shared'))
    await mkdir(join(temp, 'elsewhere'))
    await mkdir(join(temp, 'shared', 'theirs'))
    await symlink(join(temp, 'elsewhere'), join(temp, 'shared', 'link'))
    await chmod(join(temp, 'shared'), 0o1777)
    await lchown(join(temp, 'shared', 'link'), 65534, 65534)
    await chown(join(temp, 'shared', 'theirs'), 65534, 65534)
    for (const way of ['link', 'theirs'])
      await expect(privateFolder(join(temp, 'shared', way, 'a', 'b'))).rejects.toMatchObject(unsafe)
    expect(await readdir(join(temp, 'elsewhere'))).toEqual([])
    expect(await readdir(join(temp, 'shared', 'theirs'))).toEqual([])
  })

  it('says that the place is read-only, or full', async (context) => {
    const full = Object.assign(new Error('full'), { code: 'ENOSPC' })
    expect(diskTrouble(full, '/x')).toMatchObject({ code: 'disk-full', cause: full })
    expect(diskTrouble(Object.assign(new Error('ro'), { code: 'EROFS' }), '/x').code).toBe('read-only')
    if (process.platform !== 'linux') context.skip('only Linux has /sys')
    await expect(privateFolder('/sys/valetkey')).rejects.toMatchObject({ code: 'read-only' })
  })
})
