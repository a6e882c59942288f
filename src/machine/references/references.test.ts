import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { openNetwork } from '../../network/network.ts'
import { canary } from '../../testing/canary.ts'
import { type ListeningStandIn, type StandInRequest, standIn } from '../../testing/stand-in.ts'
import { saidBy } from './program.ts'
import { machineReferences } from './references.ts'

const value = canary('elsewhere')
const token = `hvs.${canary('vault')}`
const now = () => new Date('2027-03-01T12:00:00Z')

let folder: string
let network: ReturnType<typeof openNetwork>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  network = openNetwork({ allow: [] })
})

afterEach(async () => {
  await network.close()
  await rm(folder, { recursive: true })
})

function read(reference: string, env: NodeJS.ProcessEnv = {}) {
  return machineReferences({ env, network, now }).read(reference)
}

async function refusal(promise: Promise<unknown>) {
  const error = await promise.then(() => undefined).catch((thrown: unknown) => thrown)
  if (error instanceof ValetkeyError) return error
  throw new Error('it was not refused', { cause: error })
}

/** A program of the owner's own. */
async function program(lines: string, { name = 'my-key', mode = 0o700 } = {}): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, `#!/bin/sh\n${lines}\n`)
  await chmod(path, mode)
  return path
}

describe('exec:', () => {
  it('is what a program prints', async () => {
    const { value: got, until } = await read(`exec:${await program(`echo ${value}`)}`)
    expect(got.reveal()).toBe(value)
    expect(until).toBeNull()
  })

  it.each([
    ['at a time', `"expiresAt":"2027-03-01T12:10:00Z"`, '2027-03-01T12:10:00.000Z'],
    ['in so many seconds', `"expiresIn":90`, '2027-03-01T12:01:30.000Z'],
    ['never', '', undefined],
  ])('may say when its value ends: %s', async (_, more, until) => {
    const path = await program(`echo '{"value":"${value}"${more && `,${more}`}}'`)
    const got = await read(`exec:${path}`)
    expect(got.value.reveal()).toBe(value)
    expect(got.until?.toISOString()).toBe(until)
  })

  it('may be JSON of its own', async () => {
    const key = JSON.stringify({ type: 'service_account', private_key: value })
    expect((await read(`exec:${await program(`echo '${key}'`)}`)).value.reveal()).toBe(key)
  })

  it('is started with nothing of our surroundings but what it needs, without words and without a shell', async () => {
    const path = await program('echo "$# $VALETKEY_PASSPHRASE $VAULT_TOKEN $OP_SESSION_x $HOME"')
    const env = { HOME: '/home/ada', VALETKEY_PASSPHRASE: 'p', VAULT_TOKEN: 't', OP_SESSION_x: 's' }
    expect((await read(`exec:${path}`, env)).value.reveal()).toBe('0    /home/ada')
    const marked = join(folder, 'marked')
    expect((await refusal(read(`exec:${path};touch ${marked}`))).code).toBe('reference-unreadable')
    expect((await refusal(read(`exec:${path} word`))).message).toContain('there is no such program')
  })

  it.each<[string, () => Promise<string>, RegExp]>([
    ['a path that is not whole', async () => 'exec:my-key', /not named by its whole path/],
    ['a path with a way back', async () => `exec:${await program('')}/../my-key`, /not straight/],
    ['a line end', async () => `exec:${await program('echo a')}\nrm`, /not all of it can be seen/],
    ['what is far too long', async () => `exec:/${'x'.repeat(600)}`, /too long/],
    ['no program', async () => `exec:${folder}/none`, /no such program/],
    ['a folder', async () => `exec:${folder}`, /it is no program/],
    ['what may not be run', async () => `exec:${await program('echo a', { mode: 0o600 })}`, /may not be run/],
    [
      'what anybody may write',
      async () => `exec:${await program('echo a', { mode: 0o707 })}`,
      /others may write/,
    ],
    [
      'what its group may write',
      async () => `exec:${await program('echo a', { mode: 0o770 })}`,
      /others may write/,
    ],
    [
      'a symbolic link',
      async () => {
        await symlink(await program('echo a'), join(folder, 'link'))
        return `exec:${folder}/link`
      },
      /symbolic link/,
    ],
    [
      'a folder that anybody may write',
      async () => {
        await mkdir(join(folder, 'open'))
        await chmod(join(folder, 'open'), 0o777)
        return `exec:${await program('echo a', { name: 'open/my-key' })}`
      },
      /everybody may write into/,
    ],
    [
      'what fails',
      async () => `exec:${await program(`echo ${value}; echo ${value} >&2; exit 3`)}`,
      /ended with code 3/,
    ],
    ['what says nothing', async () => `exec:${await program('echo')}`, /nothing in it/],
    ['what says far too much', async () => `exec:${await program('exec cat /dev/zero')}`, /far too much/],
    ['what is no text', async () => `exec:${await program("printf '\\377\\376a'")}`, /not text/],
    [
      'what is over',
      async () => `exec:${await program(`echo '{"value":"${value}","expiresAt":"2027-03-01T11:00:00Z"}'`)}`,
      /over already/,
    ],
    [
      'what names no real time',
      async () => `exec:${await program(`echo '{"value":"${value}","expiresAt":"soon"}'`)}`,
      /not of the right form/,
    ],
    [
      'a value that is no text',
      async () => `exec:${await program(`echo '{"value":{"a":1}}'`)}`,
      /not of the right form/,
    ],
  ])('refuses %s, and repeats nothing of what was said', async (_, make, why) => {
    const { code, message, hint } = await refusal(read(await make()))
    expect(message).toMatch(why)
    expect(['reference-unreadable', 'invalid-request']).toContain(code)
    expect(`${message} ${hint}`).not.toContain(value)
  })

  it('refuses one in whose way there is a folder of another user, also behind a link', async () => {
    if (process.getuid?.() !== 0) return expect(process.getuid?.()).not.toBe(0)
    const theirs = join(folder, 'theirs')
    await mkdir(join(theirs, 'mine'), { recursive: true })
    const path = await program('echo a', { name: 'theirs/mine/my-key' })
    await symlink(join(theirs, 'mine'), join(folder, 'link'))
    await chown(theirs, 12_345, 12_345)
    for (const way of [path, join(folder, 'link', 'my-key')])
      expect((await refusal(read(`exec:${way}`))).message).toContain('theirs belongs to another user')
  })

  it('refuses a program of another user', async () => {
    if (process.getuid?.() !== 0) return expect(process.getuid?.()).not.toBe(0)
    const path = await program('echo a')
    await chown(path, 12_345, 12_345)
    expect((await refusal(read(`exec:${path}`))).message).toContain('belongs to another user')
  })

  it('does not wait without end, and ends all that was started', async () => {
    const mark = join(folder, 'mark')
    const path = await program(`(sleep 0.8; touch ${mark}) & exec sleep 60`)
    const running = {
      reference: `exec:${path}`,
      program: path,
      env: {},
      seconds: 0.3,
      hint: 'see what it does',
    }
    expect((await refusal(saidBy(running))).message).toContain('did not answer within 0.3 seconds')
    await pause(1_000)
    expect(existsSync(mark)).toBe(false)
  })
})

describe('op://', () => {
  it('is read by the command of 1Password that the path leads to, with its own surroundings alone', async () => {
    await program(
      `test "$*" = "read --no-newline op://Private/OpenAI/api key" && printf '%s' "${value}$OP_SESSION_x$VAULT_TOKEN"`,
      { name: 'op' },
    )
    const env = { PATH: `relative:${folder}`, OP_SESSION_x: '-session', VAULT_TOKEN: 'no' }
    const { value: got, until } = await read('op://Private/OpenAI/api key', env)
    expect(got.reveal()).toBe(`${value}-session`)
    expect(until).toBeNull()
  })

  it('follows a link on the path to the program itself, and judges that', async () => {
    await mkdir(join(folder, 'bin'))
    await symlink(await program(`echo ${value}`, { name: 'real' }), join(folder, 'bin', 'op'))
    const env = { PATH: join(folder, 'bin') }
    expect((await read('op://a/b/c', env)).value.reveal()).toBe(value)
    await chmod(join(folder, 'real'), 0o777)
    expect((await refusal(read('op://a/b/c', env))).message).toContain('others may write the program')
  })

  it.each([
    ['no field', 'op://Private/OpenAI', /does not name a field/],
    ['no command on the path', 'op://Private/OpenAI/key', /no command "op" on the path/],
  ])('refuses %s', async (_, reference, why) => {
    expect((await refusal(read(reference, { PATH: `bin:${folder}` }))).message).toMatch(why)
  })

  it('says what to do where the command refuses, and not what it said', async () => {
    await program(`echo "${value}" >&2; exit 1`, { name: 'op' })
    const { message, hint } = await refusal(read('op://Private/OpenAI/key', { PATH: folder }))
    expect(message).toBe('op://Private/OpenAI/key cannot be read: it ended with code 1')
    expect(hint).toContain('op signin')
  })
})

describe('vault://', () => {
  let vault: ListeningStandIn
  let answers: Record<
    string,
    (request: StandInRequest) => { status?: number; body?: unknown; headers?: Record<string, string> }
  >

  beforeEach(async () => {
    answers = {
      '/v1/sys/internal/ui/mounts/': ({ path }) =>
        path.includes('/mounts/team/kv/')
          ? { body: { data: { path: 'team/kv/', options: { version: '2' } } } }
          : { body: { data: { path: `${path.split('/')[6]}/`, options: null } } },
      '/v1/team/kv/data/': () => ({
        body: { lease_id: '', lease_duration: 0, data: { data: { key: value, port: 5432, list: [] } } },
      }),
      '/v1/secret/': () => ({ body: { lease_id: '', lease_duration: 2_764_800, data: { key: value } } }),
      '/v1/database/': () => ({
        body: { lease_id: 'database/creds/x/1', lease_duration: 3600, data: { password: value } },
      }),
    }
    vault = await standIn({
      '*': (request) => {
        const found = Object.entries(answers).find(([begins]) => request.path.startsWith(begins))
        return request.headers['x-vault-token'] === token
          ? (found?.[1](request) ?? { status: 404 })
          : { status: 403 }
      },
    }).listen()
    await network.close()
    network = openNetwork({ allow: [vault.origin] })
  })

  afterEach(() => vault.close())

  const env = (more: NodeJS.ProcessEnv = {}) => ({ VAULT_ADDR: vault.origin, VAULT_TOKEN: token, ...more })

  it('is a field of a versioned store, whose mount only Vault knows the end of', async () => {
    const got = await read('vault://team/kv/ai/open ai#key', env({ VAULT_NAMESPACE: 'ops/a' }))
    expect(got.value.reveal()).toBe(value)
    expect(got).toMatchObject({ until: null })
    const [asked, second] = vault.requests
    expect([asked?.path, second?.path]).toEqual([
      '/v1/sys/internal/ui/mounts/team/kv/ai/open%20ai',
      '/v1/team/kv/data/ai/open%20ai',
    ])
    expect(second?.headers).toMatchObject({ 'x-vault-namespace': 'ops/a', 'x-vault-request': 'true' })
    expect((await read('vault://team/kv/ai#port', env())).value.reveal()).toBe('5432')
  })

  it('is a field of a plain store, which says when to look again and never that the value ends', async () => {
    const { until, again } = await read('vault://secret/ai#key', env())
    expect(until).toBeNull()
    expect(again).toEqual(new Date(now().getTime() + 2_764_800_000))
  })

  it('ends with its lease where it is leased', async () => {
    const { value: got, until } = await read('vault://database/creds/app#password', env())
    expect(got.reveal()).toBe(value)
    expect(until).toEqual(new Date('2027-03-01T13:00:00Z'))
  })

  it('is read where Vault does not know of versions', async () => {
    answers['/v1/sys/internal/ui/mounts/'] = () => ({ status: 404 })
    expect((await read('vault://secret/ai#key', env())).value.reveal()).toBe(value)
  })

  it('is read by the token that the command of Vault keeps, which is nobody else’s to read', async () => {
    const file = join(folder, '.vault-token')
    await writeFile(file, `${token}\n`, { mode: 0o600 })
    const there = { VAULT_ADDR: vault.origin, HOME: folder }
    expect((await read('vault://secret/ai#key', there)).value.reveal()).toBe(value)
    await chmod(file, 0o644)
    expect((await refusal(read('vault://secret/ai#key', there))).message).toContain('others may read')
  })

  it.each<[string, string, () => NodeJS.ProcessEnv, RegExp]>([
    ['no field', 'vault://secret/ai', env, /does not name a mount/],
    ['a way back', 'vault://secret/../sys/raw#key', env, /does not name a mount/],
    ['a query', 'vault://secret/ai?x=1#key', env, /does not name a mount/],
    ['a field that is not there', 'vault://secret/ai#none', env, /no text called "none"/],
    ['a field of every object', 'vault://secret/ai#constructor', env, /no text called/],
    ['what is no text', 'vault://team/kv/ai#list', env, /no text called/],
    ['no address', 'vault://secret/ai#key', () => env({ VAULT_ADDR: '' }), /VAULT_ADDR/],
    [
      'an address with a password',
      'vault://secret/ai#key',
      () => env({ VAULT_ADDR: 'https://a:b@vault.test' }),
      /VAULT_ADDR/,
    ],
    ['no token', 'vault://secret/ai#key', () => ({ VAULT_ADDR: vault.origin }), /no token/],
    [
      'another token',
      'vault://secret/ai#key',
      () => env({ VAULT_TOKEN: 'other' }),
      /does not let this token/,
    ],
    [
      'a private address that nobody opened',
      'vault://secret/ai#key',
      () => env({ VAULT_ADDR: 'https://10.0.0.1:8200' }),
      /private address/,
    ],
    [
      'a loopback address that nobody opened',
      'vault://secret/ai#key',
      () => env({ VAULT_ADDR: 'http://127.0.0.1:1' }),
      /is not reached over https|loopback/,
    ],
  ])('refuses %s', async (_, reference, around, why) => {
    const { message, hint } = await refusal(read(reference, around()))
    expect(message).toMatch(why)
    expect(hint).toBeTruthy()
    expect(`${message} ${hint}`).not.toContain(token)
  })

  it.each<[string, { status?: number; body?: unknown; headers?: Record<string, string> }, RegExp]>([
    [
      'that sends elsewhere',
      { status: 307, headers: { location: 'https://evil.test/' } },
      /goes nowhere else/,
    ],
    ['with nothing there', { status: 404 }, /nothing in that place/],
    ['that is sealed', { status: 503, body: { errors: ['Vault is sealed'] } }, /answered 503/],
    ['that answers with a page', { body: '<html>' }, /makes no sense/],
    ['that answers without end', { body: 'x'.repeat(2 ** 21) }, /too large/],
  ])('refuses a Vault %s', async (_, answer, why) => {
    answers['/v1/secret/'] = () => answer
    expect((await refusal(read('vault://secret/ai#key', env()))).message).toMatch(why)
    expect(vault.requests).toHaveLength(2)
  })
})

it('nothing else is a reference', async () => {
  expect((await refusal(read('file:///etc/passwd'))).code).toBe('invalid-request')
})
