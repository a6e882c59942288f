import { chmod, chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../../test/leave.ts'
import { canary } from '../../testing/canary.ts'
import { commandSource } from './command.ts'

const notRoot = process.getuid?.() !== 0
const asRoot = notRoot ? ' (skipped: only root can give a file or a connection to another user)' : ''

let folder: string
let program: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  program = join(folder, "the keeper's; $HOME")
})
afterEach(() => leave(folder))

/** A keeper in a few lines; `told` are the bytes it was told, and it says what `answer` makes of them. */
async function keeper(answer: string) {
  const lines = [
    `#!${process.execPath}`,
    `const { appendFileSync, writeFileSync } = require('node:fs')`,
    `const act = process.argv[2]`,
    `appendFileSync(__dirname + '/calls', process.argv.slice(2).join(' ') + ';')`,
    `writeFileSync(__dirname + '/env', JSON.stringify(process.env))`,
    `let text = ''`,
    `process.stdin.on('data', (chunk) => { text += chunk }).on('end', () => {`,
    `  const told = Buffer.from(text, 'base64')`,
    `  ${answer}`,
    `})`,
  ]
  await writeFile(program, lines.join('\n'))
  await chmod(program, 0o700)
  return commandSource(program)
}

const SAY_INVERTED = `process.stdout.write(told.map((byte) => byte ^ 255).toString('base64') + '\\n')`

const refused = (code: string) => expect.objectContaining({ code, hint: expect.stringContaining(program) })

describe('a key that a command keeps', () => {
  it('is wrapped and unwrapped by it, without a shell, and is not itself remembered', async () => {
    const source = await keeper(SAY_INVERTED)
    const { key, remembered } = await source.create()
    expect((await source.obtain(remembered)).revealBytes()).toEqual(key.revealBytes())
    expect(Object.keys(remembered).toSorted()).toEqual(['command', 'wrapped'])
    expect(remembered['command']).toBe(program)
    expect(remembered['wrapped']).not.toBe(Buffer.from(key.revealBytes()).toString('base64'))
    expect(await readFile(join(folder, 'calls'), 'utf8')).toBe('wrap;unwrap;unwrap;')
  })

  it.each(['VALETKEY_KEY', 'VALETKEY_PASSPHRASE', 'DATABASE_URL'])(
    'is kept by a command that is not told what is in %s',
    async (name) => {
      const other = canary('other')
      const before = process.env[name]
      process.env[name] = other
      try {
        await (await keeper(SAY_INVERTED)).create()
      } finally {
        if (before === undefined) delete process.env[name]
        else process.env[name] = before
      }
      expect(await readFile(join(folder, 'env'), 'utf8')).not.toContain(other)
    },
  )

  it('is not asked of the command that a vault names, but of ours, which says so', async () => {
    const source = await keeper(SAY_INVERTED)
    const { remembered } = await source.create()
    await expect(source.obtain({ ...remembered, command: '/bin/other' })).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('/bin/other'),
      hint: expect.stringContaining(program),
    })
    expect(await readFile(join(folder, 'calls'), 'utf8')).toBe('wrap;unwrap;')
  })

  it('stays locked when the command fails, says nothing, too much, or no base64', async () => {
    const failing = [
      'process.exit(3)',
      '',
      `process.stdout.write('no key today')`,
      `process.stdout.write('A'.repeat(100_000))`,
      `process.kill(process.pid, 'SIGTERM')`,
    ]
    for (const answer of failing)
      await expect((await keeper(answer)).obtain({ wrapped: 'AAAA' })).rejects.toEqual(refused('locked'))
    await rm(program)
    await expect(commandSource(program).obtain({ wrapped: 'AAAA' })).rejects.toEqual(refused('locked'))
  })

  it('is refused when it comes back as something else', async () => {
    const source = await keeper(`process.stdout.write(Buffer.alloc(31).toString('base64'))`)
    await expect(source.obtain({ wrapped: 'AAAA' })).rejects.toEqual(refused('wrong-key'))
    const forgetful = await keeper(`process.stdout.write(Buffer.alloc(32).toString('base64'))`)
    await expect(forgetful.create()).rejects.toEqual(refused('locked'))
  })

  it('is not asked of a program that others may change, or that is not named from the root on', async () => {
    const source = await keeper(SAY_INVERTED)
    await chmod(program, 0o722)
    await expect(source.create()).rejects.toEqual(refused('unsafe-folder'))
    await expect(commandSource('keeper').create()).rejects.toMatchObject({ code: 'config-invalid' })
    await expect(readFile(join(folder, 'calls'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it.skipIf(notRoot)(`is not asked of somebody else’s program${asRoot}`, async () => {
    const source = await keeper(SAY_INVERTED)
    await chown(program, 65_534, 65_534)
    await expect(source.create()).rejects.toEqual(refused('unsafe-folder'))
  })
})
