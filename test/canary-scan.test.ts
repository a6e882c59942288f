import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findCanaries, scanFile, scanFolder } from '../scripts/canary-scan.mjs'
import { CANARY_MARK, canary, canaryBytes } from '../src/testing/canary.ts'

const bytes = (text: string) => Buffer.from(text)
const percent = (text: string) =>
  [...text].map((letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`).join('')

const spellings: Readonly<Record<string, (secret: string) => string>> = {
  raw: (secret) => `Authorization: Bearer sk-${secret}`,
  'inside JSON inside JSON': (secret) => JSON.stringify(JSON.stringify({ secret })),
  'base64, alone': (secret) => bytes(secret).toString('base64'),
  'base64, one byte behind': (secret) => bytes(`:${secret}`).toString('base64'),
  'base64, two bytes behind': (secret) => bytes(`u:${secret}`).toString('base64'),
  base64url: (secret) => bytes(`{"k":"\u00ff\u00fe${secret}"}`).toString('base64url'),
  hex: (secret) => bytes(secret).toString('hex'),
  'upper case hex': (secret) => bytes(secret).toString('hex').toUpperCase(),
  'a dump of hex': (secret) => bytes(secret).toString('hex').replaceAll(/../g, '$& '),
  'a printed buffer': (secret) => inspect(bytes(secret)),
  'a printed array of bytes': (secret) => inspect(new Uint8Array(bytes(secret)), { maxArrayLength: null }),
  'an array of bytes as JSON': (secret) => JSON.stringify(bytes(secret)),
  'bytes as JSON': (secret) => JSON.stringify(new Uint8Array(bytes(secret))),
  'percent-encoded': percent,
  'percent-encoded in part': (secret) => `q=${percent(secret.slice(0, 3))}${secret.slice(3)}`,
}

describe('the canary scan', () => {
  it.each(Object.entries(spellings))('finds a secret: %s', (_, spell) => {
    const text = `nothing here\n${spell(canary('planted'))} and on\n`.replace('[\n', '[')
    expect(findCanaries(text)).toContainEqual(expect.objectContaining({ line: 2 }))
  })

  const ofHex = Object.entries(spellings).filter(([how]) => !how.startsWith('percent'))
  it.each(ofHex)('finds a key that is itself spelled in hex: %s', (_, spell) => {
    const text = `nothing here\n${spell(canaryBytes('', 16).toString('hex'))} and on\n`.replace('[\n', '[')
    expect(findCanaries(text)).toContainEqual(expect.objectContaining({ line: 2 }))
  })

  it('passes by a secret that is meant to be there, by its name, and nothing beside it', () => {
    const isMeant = (name: string) => name === 'meant'
    const key = canaryBytes('meant', 35).toString('base64url')
    expect(
      findCanaries(`A=${canary('meant')} B=${bytes(canary('meant')).toString('base64')} ${key}`, isMeant),
    ).toEqual([])
    for (const name of ['meanta', 'mean', 'unmeant', ''])
      expect(findCanaries(canary(name), isMeant)).not.toEqual([])
    expect(findCanaries(`${canary('meant')}${canary('other')}`, isMeant)).not.toEqual([])
  })

  it('takes the mark alone for no secret', () => {
    const innocent = `canary('openai') ${CANARY_MARK} ${bytes(`${CANARY_MARK} = 1`).toString('base64')}`
    expect(findCanaries(innocent)).toEqual([])
  })

  it('says where and how, and never what', () => {
    const secret = canary('unsaid')
    expect(JSON.stringify(findCanaries(`a\nb\n${secret}`))).toBe('[{"spelling":"raw","line":3}]')
  })
})

describe('the canary scan of a folder', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('reads every file below it, and follows no links', async () => {
    await writeFile(join(folder, 'clean.txt'), 'nothing')
    await writeFile(join(folder, 'log.txt'), `first\n${canary('log')}\n`)
    await symlink(join(folder, 'log.txt'), join(folder, 'again.txt'))
    expect(scanFolder(folder)).toEqual({
      scanned: 2,
      finds: [{ path: join(folder, 'log.txt'), spelling: 'raw', line: 2 }],
    })
  })

  it('passes by what says of itself that a secret is in it', async () => {
    await writeFile(join(folder, 'export.expected-secret.json'), canary('meant'))
    expect(scanFolder(folder)).toEqual({ scanned: 0, finds: [] })
  })

  it('finds a secret that lies across two pieces of a large file, in its right line', async () => {
    const path = join(folder, 'large.bin')
    const before = `${'x'.repeat(1023)}\n`.repeat(16 * 1024)
    await writeFile(path, `${before.slice(0, -10)}${canary('across')}`)
    expect(scanFile(path)).toEqual([{ spelling: 'raw', line: 16 * 1024 }])
  })
})
