import { relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pathsOf, type Whereabouts } from './paths.ts'

const linux: Whereabouts = { env: {}, platform: 'linux', home: '/home/ada', uid: 1000 }
const macos: Whereabouts = {
  env: { TMPDIR: '/var/folders/x/T/' },
  platform: 'darwin',
  home: '/Users/ada',
  uid: 501,
}
const windows: Whereabouts = {
  env: { APPDATA: 'C:\\Users\\ada\\AppData\\Roaming', LOCALAPPDATA: 'C:\\Users\\ada\\AppData\\Local' },
  platform: 'win32',
  home: 'C:\\Users\\ada',
  uid: undefined,
}

describe('the paths', () => {
  it('lie where the system has them', () => {
    expect(pathsOf(linux)).toEqual({
      config: '/home/ada/.config/valetkey',
      state: '/home/ada/.local/share/valetkey',
      run: expect.stringMatching(/^\/tmp\/valetkey-1000\/[0-9a-f]{12}$/),
      vaultFile: '/home/ada/.local/share/valetkey/vault.db',
      keyFolder: '/home/ada/.config/valetkey/keys',
      configFile: '/home/ada/.config/valetkey/config.json',
      anchorFile: '/home/ada/.config/valetkey/keys/anchor',
      providersFolder: '/home/ada/.config/valetkey/providers',
      socket: expect.stringMatching(/^\/tmp\/valetkey-1000\/[0-9a-f]{12}\/valetkey\.sock$/),
    })
    expect(pathsOf(macos)).toMatchObject({
      config: '/Users/ada/Library/Application Support/valetkey/config',
      state: '/Users/ada/Library/Application Support/valetkey/data',
      socket: expect.stringMatching(/^\/var\/folders\/x\/T\/valetkey-501\/[0-9a-f]{12}\/valetkey\.sock$/),
    })
    expect(pathsOf(windows)).toMatchObject({
      config: 'C:\\Users\\ada\\AppData\\Roaming\\valetkey',
      state: 'C:\\Users\\ada\\AppData\\Local\\valetkey',
      socket: expect.stringMatching(/^\\\\\.\\pipe\\valetkey-[0-9a-f]{12}$/),
    })
  })

  it('follow XDG, but not where it is relative or empty', () => {
    const env = { XDG_CONFIG_HOME: '/c', XDG_DATA_HOME: '/d', XDG_RUNTIME_DIR: '/run/user/1000' }
    expect(pathsOf({ ...linux, env })).toMatchObject({
      config: '/c/valetkey',
      state: '/d/valetkey',
      socket: expect.stringMatching(/^\/run\/user\/1000\/valetkey\/[0-9a-f]{12}\/valetkey\.sock$/),
    })
    const bad = { XDG_CONFIG_HOME: 'c', XDG_DATA_HOME: '', XDG_RUNTIME_DIR: 'run' }
    expect(pathsOf({ ...linux, env: bad })).toEqual(pathsOf(linux))
  })

  it('are another broker for another HOME of the same user', () => {
    expect(pathsOf({ ...linux, home: '/home/other' }).socket).not.toBe(pathsOf(linux).socket)
  })

  it('all move with VALETKEY_HOME, which may be relative; an empty one is none', () => {
    expect(
      pathsOf({ ...linux, env: { VALETKEY_HOME: '/v', XDG_RUNTIME_DIR: '/run/user/1000' } }),
    ).toMatchObject({
      config: '/v/config',
      state: '/v/data',
      run: '/v/run',
      socket: '/v/run/valetkey.sock',
    })
    expect(pathsOf({ ...linux, env: { VALETKEY_HOME: 'v' } }).state).toBe(`${process.cwd()}/v/data`)
    expect(pathsOf({ ...linux, env: { VALETKEY_HOME: '' } })).toEqual(pathsOf(linux))
  })

  it('are an app’s own, so that no app meets another’s vault, key or socket', () => {
    for (const here of [linux, macos, windows]) {
      const [one, two, none] = [
        pathsOf({ ...here, app: 'one' }),
        pathsOf({ ...here, app: 'two' }),
        pathsOf(here),
      ]
      for (const name of ['vaultFile', 'keyFolder', 'anchorFile', 'configFile', 'socket'] as const) {
        expect(new Set([one[name], two[name], none[name]]).size, name).toBe(3)
      }
    }
  })

  it.each([
    '',
    '.',
    '..',
    '../x',
    'a/b',
    'a\\b',
    'A',
    'a.',
    '-a',
    'con',
    'nul.txt',
    'com1',
    'a'.repeat(64),
    'a\0',
  ])('refuse "%s" as the name of an app', (app) => {
    expect(() => pathsOf({ ...linux, app })).toThrow(expect.objectContaining({ code: 'invalid-request' }))
  })

  it('never put the key into the data folder, and refuse folders that would', () => {
    for (const here of [linux, macos, { ...linux, env: { VALETKEY_HOME: '/v' } }]) {
      const { state, keyFolder } = pathsOf(here)
      expect(relative(state, keyFolder)).toMatch(/^\.\./)
    }
    const invalid = expect.objectContaining({ code: 'config-invalid' })
    const same = { XDG_CONFIG_HOME: '/x', XDG_DATA_HOME: '/x' }
    expect(() => pathsOf({ ...linux, env: same })).toThrow(invalid)
    const inside = { XDG_CONFIG_HOME: '/x/valetkey/y', XDG_DATA_HOME: '/x' }
    expect(() => pathsOf({ ...linux, env: inside })).toThrow(invalid)
    const { LOCALAPPDATA } = windows.env
    expect(() => pathsOf({ ...windows, env: { APPDATA: LOCALAPPDATA, LOCALAPPDATA } })).toThrow(invalid)
  })

  it('keep the socket short enough for every system', () => {
    const long = { VALETKEY_HOME: `/${'long/'.repeat(30)}` }
    const short = pathsOf({ ...linux, env: long }).socket
    expect(short).toMatch(/^\/tmp\/valetkey-1000\/[0-9a-f]{12}\.sock$/)
    expect(pathsOf({ ...linux, env: { ...long, XDG_RUNTIME_DIR: '/run/user/1000' } }).socket).toMatch(
      /^\/run\/user\/1000\/valetkey\/[0-9a-f]{12}\.sock$/,
    )
    expect(pathsOf({ ...linux, env: { ...long, TMPDIR: `/${'t'.repeat(100)}` } }).socket).toBe(short)
    expect(pathsOf({ ...linux, env: { VALETKEY_HOME: `${long.VALETKEY_HOME}x` } }).socket).not.toBe(short)
    const umlauts = { VALETKEY_HOME: `/${'ü'.repeat(45)}` }
    expect(Buffer.byteLength(pathsOf({ ...linux, env: umlauts }).socket)).toBeLessThanOrEqual(100)
  })

  it('take the socket that VALETKEY_SOCKET names', () => {
    expect(pathsOf({ ...linux, env: { VALETKEY_SOCKET: '/s/mine.sock' } }).socket).toBe('/s/mine.sock')
    expect(pathsOf({ ...linux, env: { VALETKEY_SOCKET: 'mine.sock' } }).socket).toBe(
      `${process.cwd()}/mine.sock`,
    )
    expect(pathsOf({ ...linux, env: { VALETKEY_SOCKET: '' } }).socket).toBe(pathsOf(linux).socket)
  })

  it('take the socket that programs of the same convention are told, where no other is named', () => {
    const theirs = { LLXPRT_CREDENTIAL_SOCKET: '/s/theirs.sock' }
    expect(pathsOf({ ...linux, env: theirs }).socket).toBe('/s/theirs.sock')
    expect(pathsOf({ ...linux, env: { ...theirs, VALETKEY_SOCKET: '/s/a.sock' } }).socket).toBe('/s/a.sock')
  })
})
