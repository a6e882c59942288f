import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, lstat, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../test/leave.ts'
import { fileAnchor, readOwn, writeWhole } from './files.ts'

let temp: string
let file: string
beforeEach(async () => {
  temp = await mkdtemp(join(tmpdir(), 'valetkey-'))
  file = join(temp, 'file')
})
afterEach(() => leave(temp))

const bytes = (text: string) => new TextEncoder().encode(text)
const unsafe = { code: 'unsafe-folder', hint: expect.any(String) }

describe('a file of ours', () => {
  it('[security 19.7] is written whole, 0600, and leaves nothing beside it', async () => {
    const before = process.umask(0)
    try {
      await writeWhole(file, bytes('one'))
      await writeWhole(file, bytes('two'))
    } finally {
      process.umask(before)
    }
    expect(String(await readFile(file))).toBe('two')
    expect((await lstat(file)).mode & 0o777).toBe(0o600)
    expect(await readdir(temp)).toEqual(['file'])
  })

  it('[security 19.7] takes the place of a symbolic link instead of writing through it', async () => {
    const target = join(temp, 'target')
    await writeFile(target, 'untouched')
    await symlink(target, file)
    await writeWhole(file, bytes('new'))
    expect([String(await readFile(target)), (await lstat(file)).isSymbolicLink()]).toEqual([
      'untouched',
      false,
    ])
  })

  it('[security 19.7] is the old one or the new one, whenever it is read and whenever the writer is killed', async () => {
    const contents = ['a', 'b'].map((letter) => letter.repeat(100_000))
    const script = `
      const { writeWhole } = await import(${JSON.stringify(new URL('./files.ts', import.meta.url).href)})
      for (let i = 0; ; i += 1) {
        await writeWhole(${JSON.stringify(file)}, Buffer.alloc(100_000, i % 2 ? 'a' : 'b'))
        if (i === 0) console.log('ready')
      }
    `
    for (let round = 0; round < 5; round += 1) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(child.stdout, 'data')
      for (let reads = 0; reads < 200; reads += 1) expect(contents).toContain(String(await readOwn(file)))
      await pause(round * 7)
      child.kill('SIGKILL')
      await once(child, 'exit')
      expect(contents).toContain(String(await readOwn(file)))
    }
  })

  it('cleans up after itself when it cannot be written', async () => {
    await expect(writeWhole(join(temp, 'missing', 'file'), bytes('x'))).rejects.toMatchObject({
      name: 'ValetkeyError',
    })
    await rm(file, { force: true })
    execFileSync('mkdir', [file])
    await expect(writeWhole(file, bytes('x'))).rejects.toMatchObject({ name: 'ValetkeyError' })
    expect(await readdir(temp)).toEqual(['file'])
  })

  it('is undefined where there is none', async () => {
    expect(await readOwn(file)).toBeUndefined()
  })

  it('[security 19.7] is refused as a symbolic link, as a folder and as a pipe', async () => {
    await writeFile(join(temp, 'target'), 'x', { mode: 0o600 })
    await symlink(join(temp, 'target'), file)
    execFileSync('mkfifo', [join(temp, 'pipe')])
    for (const path of [file, temp, join(temp, 'pipe')])
      await expect(readOwn(path)).rejects.toMatchObject(unsafe)
  })

  it('[security 19.7] is refused when others may write it, and when they may read it unless that is said', async () => {
    await writeWhole(file, bytes('x'))
    for (const mode of [0o604, 0o640, 0o644]) {
      await chmod(file, mode)
      await expect(readOwn(file)).rejects.toMatchObject(unsafe)
      expect(String(await readOwn(file, { readableByOthers: true }))).toBe('x')
    }
    for (const mode of [0o602, 0o620, 0o666]) {
      await chmod(file, mode)
      await expect(readOwn(file, { readableByOthers: true })).rejects.toMatchObject(unsafe)
    }
  })

  it('serves as an anchor, in a folder that is made for it', async () => {
    const anchor = fileAnchor(join(temp, 'keys', 'anchor'))
    expect(await anchor.read()).toBeUndefined()
    await anchor.write(bytes('head'))
    expect(String(await anchor.read())).toBe('head')
    expect((await lstat(join(temp, 'keys'))).mode & 0o777).toBe(0o700)
  })
})
