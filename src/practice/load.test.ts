import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const run = promisify(execFile)
const house = fileURLToPath(new URL('../..', import.meta.url))

/** Runs a few lines in a process of their own; gives all that reached its terminal. */
async function played(root: string, lines: string, ...flags: readonly string[]) {
  const here = "import { openPractice } from './src/practice/practice.ts'\n"
  const args = [...flags, '--input-type=module', '--eval', here + lines]
  return run(process.execPath, args, { cwd: root, env: { ...process.env, NODE_OPTIONS: '' } })
}

describe('the library', () => {
  const SIGN_IN = `
    import { visitorOf } from './src/practice/visitor.ts'
    const practice = await openPractice()
    const visitor = visitorOf(practice)
    const link = new URL('/auth', practice.origin)
    const words = { client_id: practice.client.clientId, response_type: 'code', scope: 'openid', code_challenge_method: 'S256',
      code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', redirect_uri: 'http://127.0.0.1:1/' }
    for (const [name, value] of Object.entries(words)) link.searchParams.set(name, value)
    const back = await visitor.consent(link)
    for (const path of ['/me', '/token', '/auth?client_id=x', '/device', '/nowhere', '/reg'])
      await visitor.open(new URL(path, practice.origin))
    await fetch(new URL('/token', practice.origin), { method: 'POST', body: new URLSearchParams({
      grant_type: 'authorization_code', client_id: words.client_id, redirect_uri: words.redirect_uri,
      code: back.searchParams.get('code'), code_verifier: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk' }) })
    const { tokens } = await (await fetch(new URL('/practice/counts', practice.origin))).json()
    await practice.close()
    process.exitCode = tokens === 1 ? 0 : 1`

  it('says nothing on the terminal, at work or in trouble', async () => {
    expect(await played(house, SIGN_IN)).toEqual({ stdout: '', stderr: '' })
  })

  it('says nothing either on a Node that it does not know, and leaves the console as it was', async () => {
    const { stdout, stderr } = await played(
      house,
      "await (await openPractice()).close(); console.warn('heard')",
      '--import',
      "data:text/javascript,Object.defineProperty(process,'release',{value:{name:'node'}})",
    )
    expect([stdout, stderr]).toEqual(['', 'heard\n'])
  })
})

describe('without the library', () => {
  let root: string

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'valetkey-'))
    for (const part of ['src/practice', 'src/model', 'client/src', 'package.json'])
      await cp(join(house, part), join(root, part), { recursive: true })
  })

  afterEach(() => rm(root, { recursive: true }))

  it('names the package that is missing, and the command that adds it', async () => {
    const { stdout } = await played(
      root,
      'await openPractice().catch(({ code, message, hint }) => process.stdout.write(JSON.stringify([code, message, hint])))',
    )
    expect(JSON.parse(stdout)).toEqual([
      'provider-not-configured',
      'the practice provider needs the package oidc-provider, which is not installed',
      'npm install oidc-provider@9',
    ])
  })
})
