import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../test/leave.ts'
import { canary } from '../testing/canary.ts'
import { readConfig } from './config.ts'

let temp: string
let file: string
beforeEach(async () => {
  temp = await mkdtemp(join(tmpdir(), 'valetkey-'))
  file = join(temp, 'config.json')
})
afterEach(() => leave(temp))

const PIN = `sha256/${'A'.repeat(43)}=`

async function reading(text: string) {
  await writeFile(file, text)
  return readConfig(file)
}

describe('the configuration', () => {
  it('is empty where there is none', async () => {
    expect(await readConfig(file)).toEqual({})
  })

  it('is read as it stands', async () => {
    const config = {
      keySource: 'command',
      keyCommand: '/usr/bin/age -d key.age',
      origins: { openai: 'http://127.0.0.1:8080', 'azure-openai': 'https://proxy.example' },
      allow: ['127.0.0.1:11434', 'ollama.lan', '[::1]:80', '[fd00::1]'],
      pins: { 'api.openai.com': [PIN, PIN], '[::1]': [PIN] },
      port: 0,
    }
    expect(await reading(JSON.stringify(config))).toEqual(config)
  })

  it.each([
    [{ keySource: 'keychain' }, 'keySource'],
    [{ keySource: 'command' }, 'keyCommand'],
    [{ port: 6000 }, 'port'],
    [{ port: 65536 }, 'port'],
    [{ port: '80' }, 'port'],
    [{ callback: 'page' }, 'port'],
    [{ callback: 'page', port: 0 }, 'port'],
    [{ callback: 'elsewhere' }, 'callback'],
    [{ origins: { openai: 'http://127.0.0.1:8080/' } }, 'origins.openai'],
    [{ origins: { openai: 'http://127.0.0.1:8080/v1' } }, 'origins.openai'],
    [{ origins: { openai: 'ftp://127.0.0.1' } }, 'origins.openai'],
    [{ origins: { openai: 'https://me@proxy.example' } }, 'origins.openai'],
    [{ origins: { '../x': 'https://proxy.example' } }, 'origins.../x'],
    [{ allow: ['http://127.0.0.1'] }, 'allow.0'],
    [{ allow: ['ok', '127.0.0.1/8'] }, 'allow.1'],
    [{ allow: ['*'] }, 'allow.0'],
    [{ allow: ['host:99999'] }, 'allow.0'],
    [{ pins: { 'api.openai.com': [] } }, 'pins.api.openai.com'],
    [{ pins: { 'api.openai.com': ['sha256/short='] } }, 'pins.api.openai.com.0'],
    [{ pins: { 'api.openai.com:443': [PIN] } }, 'pins.api.openai.com:443'],
    [{ pins: { 'https://api.openai.com': [PIN] } }, 'pins.https://api.openai.com'],
    [[], ''],
    [null, ''],
  ])('refuses %j and names the field', async (config, field) => {
    await expect(reading(JSON.stringify(config))).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(`"${field}"`),
    })
  })

  it('names the file, and the field that was probably meant', async () => {
    await expect(reading('{"keysource":"file"}')).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(file),
      hint: 'did you mean "keySource"?',
    })
    await expect(reading('{"orgins":{}}')).rejects.toMatchObject({ hint: 'did you mean "origins"?' })
    await expect(reading('{"telemetry":true}')).rejects.toMatchObject({
      hint: expect.stringContaining('keySource, '),
    })
  })

  it('overwrites nothing and quotes nothing when it is corrupt', async () => {
    const secret = canary('config')
    for (const text of ['', '{', `{"keyCommand": ${secret}}`, `${secret}`]) {
      const error = await reading(text).catch((failure: unknown) => failure)
      expect(error).toMatchObject({
        code: 'config-invalid',
        message: expect.stringContaining(file),
      })
      expect(error).not.toHaveProperty('cause')
      expect(String(error)).not.toContain(secret)
      expect(String(await readFile(file))).toBe(text)
    }
    // The secret lies there because this test put it there.
    await rm(file)
  })

  it('is refused when others may write it, for it can name a command', async () => {
    await writeFile(file, '{}')
    await chmod(file, 0o666)
    await expect(readConfig(file)).rejects.toMatchObject({ code: 'unsafe-folder' })
    await chmod(file, 0o644)
    expect(await readConfig(file)).toEqual({})
  })
})
