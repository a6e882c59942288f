import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../test/leave.ts'
import { until } from '../../test/real.ts'
import { canary } from '../testing/canary.ts'
import { hasBrowser, openBrowser } from './open-browser.ts'

let temp: string
beforeEach(async () => {
  temp = await mkdtemp(join(tmpdir(), 'valetkey-'))
})
afterEach(() => leave(temp))

const unavailable = { code: 'browser-unavailable', hint: expect.stringContaining('by hand') }

/** An opener that writes down what it was given, first on the path. */
async function opener(name: string, then = ''): Promise<Record<string, string>> {
  const script = `#!/bin/sh\nprintf '%s\\n' "$#" "$@" > "$SEEN.new"; env >> "$SEEN.new"; mv "$SEEN.new" "$SEEN"\n${then}\n`
  await writeFile(join(temp, name), script)
  await chmod(join(temp, name), 0o755)
  return { PATH: `${temp}${delimiter}${process.env['PATH']}`, SEEN: join(temp, 'seen') }
}

/** What was opened; who opened it may not be done yet. */
const seen = async () =>
  String(await until(() => readFile(join(temp, 'seen')).catch(() => undefined))).split('\n')

describe('opening a browser', () => {
  it.each([
    ['linux', 'xdg-open', { DISPLAY: ':0' }, []],
    ['linux', 'xdg-open', { WAYLAND_DISPLAY: 'wayland-0' }, []],
    ['linux', 'my-browser', { BROWSER: 'my-browser' }, []],
    ['darwin', 'open', {}, []],
    ['win32', 'rundll32', {}, ['url.dll,FileProtocolHandler']],
  ] as const)(
    '[security 3.1] [security 5.5] hands the opener one file that leads to the link: %s, %s',
    async (platform, name, more, first) => {
      const env = { ...(await opener(name)), ...more }
      const url = new URL('https://login.example/?a=1&b=$(touch x);`y`|z\'"#code"<b>')
      await openBrowser(url, { env, platform, folder: temp })
      const args = [...first, join(temp, 'open.html')]
      expect((await seen()).slice(0, args.length + 1)).toEqual([String(args.length), ...args])
      const leads = await readFile(join(temp, 'open.html'), 'utf8')
      expect(leads).toContain(
        url.href.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;'),
      )
      expect(leads).not.toContain('<b>')
    },
  )

  it('keeps a link that is a secret out of the arguments, which every user can read', async () => {
    const code = canary('code')
    const env = { ...(await opener('xdg-open')), DISPLAY: ':0' }
    await openBrowser(new URL(`http://127.0.0.1:4000/#code=${code}`), {
      env,
      platform: 'linux',
      folder: temp,
    })
    expect((await seen()).join('\n')).not.toContain(code)
    const [, file = ''] = await seen()
    expect(await readFile(file, 'utf8')).toContain(`http://127.0.0.1:4000/#code=${code}`)
    expect((await stat(file)).mode & 0o077).toBe(0)
    // The code is good once, and this is where it is meant to be until then.
    await rm(file)
  })

  it('tells the browser nothing that Valetkey was told', async () => {
    const secret = canary('environment')
    const env = {
      ...(await opener('xdg-open')),
      DISPLAY: ':0',
      VALETKEY_PASSPHRASE: secret,
      DATABASE_URL: secret,
    }
    await openBrowser(new URL('http://127.0.0.1:4000/'), { env, platform: 'linux', folder: temp })
    expect((await seen()).join('\n')).not.toContain(secret)
  })

  it('does not wait for the browser to end', async () => {
    const env = { ...(await opener('xdg-open', 'sleep 20')), DISPLAY: ':0' }
    await Promise.race([
      openBrowser(new URL('http://localhost:4000/'), { env, platform: 'linux', folder: temp }),
      pause(12_000).then(() => expect.fail('it waited')),
    ])
  })

  it('says that there is none without a display, without an opener, or when the opener gives up', async () => {
    const url = new URL('http://[::1]:4000/')
    const there = await opener('xdg-open', 'exit 3')
    const nothing = { PATH: join(temp, 'nothing'), DISPLAY: ':0' }
    for (const env of [there, nothing, { ...there, DISPLAY: ':0' }, { ...there, BROWSER: 'sh -c "x"' }]) {
      await expect(openBrowser(url, { env, platform: 'linux', folder: temp })).rejects.toMatchObject(
        unavailable,
      )
    }
  })

  it.each([
    'http://example.com/',
    'http://127.0.0.1.example.com/',
    'http://localhost.example.com/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'ms-msdt:/id',
    'vscode://x',
    'data:text/html,x',
    'https://me:you@example.com/',
  ])('refuses %s', async (link) => {
    const env = { ...(await opener('open')) }
    await expect(openBrowser(new URL(link), { env, platform: 'darwin', folder: temp })).rejects.toMatchObject(
      {
        code: 'invalid-request',
      },
    )
    expect(await readdir(temp)).not.toContain('seen')
  })
})

describe('whether there is a browser that a person here would see', () => {
  it.each([
    ['on a desktop', 'linux', { DISPLAY: ':0' }, true],
    ['under Wayland', 'linux', { WAYLAND_DISPLAY: 'wayland-0' }, true],
    ['where an editor far away names its opener', 'linux', { BROWSER: '/bin/open' }, true],
    ['without a display', 'linux', {}, false],
    ['on a Mac', 'darwin', {}, true],
    ['on a Mac, over SSH', 'darwin', { SSH_CONNECTION: '10.0.0.1 1 10.0.0.2 22' }, false],
    ['on Windows', 'win32', {}, true],
  ] as const)('%s', (_, platform, env, there) => {
    expect(hasBrowser({ platform, env })).toBe(there)
  })
})
