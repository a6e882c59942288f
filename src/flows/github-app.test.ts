import { generateKeyPairSync } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { builtInStage } from '../../test/built-in-stage.ts'
import { APP_ID, type GitHub, openGitHub, PEM } from '../../test/github.ts'
import { refusal } from '../../test/house.ts'
import type { FlowContext } from '../model/flow.ts'
import type { Wish } from '../model/mint.ts'
import { Secret } from '../model/secret.ts'
import { openNetwork } from '../network/network.ts'
import { readBuiltIn } from '../providers/built-in.ts'
import { openCatalogue } from '../providers/catalogue.ts'
import { flowContract } from '../testing/flow-contract.ts'
import { issuedBy } from '../testing/oauth-stage.ts'
import { githubAppFlow } from './github-app.ts'
import { githubAppMint } from './minting/github-app.ts'

const rooms = { openNetwork, openCatalogue, readBuiltIn }
const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
const OTHER_PEM = other.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

let github: GitHub

beforeEach(async () => {
  github = await openGitHub()
})
afterEach(() => github.close())

const stage = (known: Readonly<Record<string, string>> = {}): FlowContext =>
  builtInStage(rooms, { provider: 'github-app', flow: 'github-app', origin: github.origin, known })

const app = { appId: APP_ID, privateKey: PEM }
const fields = (values: Readonly<Record<string, string>>) => ({
  fields: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, new Secret(value)])),
})

flowContract('github-app', async () => {
  const there = await openGitHub()
  const context = builtInStage(rooms, { provider: 'github-app', flow: 'github-app', origin: there.origin })
  return {
    flow: () => githubAppFlow,
    context,
    answer: () => fields(app),
    wrongAnswer: () => fields({ ...app, privateKey: OTHER_PEM }),
    secrets: [PEM, PEM.slice(100, 160)],
    close: async () => {
      await context.network.close()
      await there.close()
    },
  }
})

const signIn = async () => issuedBy(await githubAppFlow.begin(stage(app)))

describe('a GitHub App', () => {
  it('says who it is for less than ten minutes, from a minute ago on', async () => {
    const now = Date.now() / 1000
    await signIn()
    const { iss, iat = 0, exp = 0 } = github.said ?? {}
    expect(iss).toBe(APP_ID)
    expect([iat - now, exp - iat]).toEqual([expect.closeTo(-60, -1), 600])
  })

  it('yields a token that dies, and keeps its key', async () => {
    const { credential, profile } = await signIn()
    expect(Object.keys(credential.worn)).toEqual(['accessToken'])
    expect(credential.worn['accessToken']?.reveal()).toBe(github.issued[0]?.token)
    expect(credential.expiresAt?.getTime()).toBeGreaterThan(Date.now() + 3_500_000)
    expect(credential.scopes).toEqual(['contents:write', 'issues:write', 'metadata:read'])
    expect(profile).toEqual({ subject: '77', displayName: 'acme', vars: { host: 'api.github.com' } })
  })

  it('asks on which account, where it is installed on several', async () => {
    Object.assign(github.installations, { '78': { login: 'umbrella', repositories: [] } })
    const turn = await githubAppFlow.begin(stage(app))
    if (!('step' in turn)) throw new Error('nothing is asked')
    expect(turn.step).toMatchObject({ fields: [{ kind: 'choice', choices: ['acme', 'umbrella'] }] })
    const done = await githubAppFlow.next(stage(), turn.memory, fields({ installation: 'umbrella' }))
    expect(issuedBy(done).profile).toMatchObject({ subject: '78', displayName: 'umbrella' })
    const named = await githubAppFlow.begin(stage({ ...app, installation: '77' }))
    expect(issuedBy(named).profile.displayName).toBe('acme')
  })

  it.each([
    [
      'a key that GitHub does not know',
      { privateKey: OTHER_PEM },
      'GitHub does not know this key of the app',
    ],
    ['what is no key', { privateKey: 'not a key' }, 'this is no private key that can sign'],
    ['an account without it', { installation: 'umbrella' }, 'this app is not installed on such an account'],
  ])('is asked for again, with the reason: %s', async (_, wrong, because) => {
    expect(await githubAppFlow.begin(stage({ ...app, ...wrong }))).toMatchObject({
      step: { ask: 'fill', because },
    })
  })

  it('is found below a path at a GitHub Enterprise Server', async () => {
    const turn = await githubAppFlow.begin(stage({ ...app, host: 'git.example.com' }))
    expect(issuedBy(turn).profile.vars).toEqual({ host: 'git.example.com' })
    expect(github.paths.every((path) => path.startsWith('/api/v3/app/'))).toBe(true)
  })

  it('is over where it was uninstalled, and not for a clock that is wrong', async () => {
    const { credential } = await signIn()
    delete github.installations['77']
    expect(await refusal(renewed(credential))).toMatchObject({ code: 'access-revoked' })
    const late = { ...stage(), now: () => new Date(Date.now() + 3_600_000) }
    expect(await refusal(githubAppFlow.refresh?.(late, credential) ?? Promise.resolve())).toMatchObject({
      code: 'bad-answer',
      hint: 'set its clock',
    })
  })

  it('is not over while it is suspended, nor for too many requests', async () => {
    const { credential } = await signIn()
    github.isSuspended = true
    expect(await refusal(renewed(credential))).toMatchObject({ code: 'refused-by-policy' })
    github.next = { status: 403, body: { message: 'You have exceeded a secondary rate limit' } }
    expect(await refusal(renewed(credential))).toMatchObject({ code: 'rate-limited' })
  })

  it('ends its token, and says that the key is for a person to end', async () => {
    const { credential } = await signIn()
    expect(await githubAppFlow.revoke(stage(), credential)).toEqual([
      { what: 'access token', died: true, how: 'ended at the provider' },
      {
        what: 'private key',
        died: false,
        how: 'only you can end it, at https://github.com/settings/apps',
        within: true,
      },
    ])
    expect(github.issued[0]?.dead).toBe(true)
    const again = await githubAppFlow.revoke(stage(), { ...credential, kept: {} })
    expect(again).toEqual([{ what: 'access token', died: true, how: 'it was dead already' }])
  })
})

type Credential = Parameters<NonNullable<typeof githubAppFlow.refresh>>[1]

const renewed = async (credential: Credential) => githubAppFlow.refresh?.(stage(), credential)

describe('a token for less than all that the app may do', () => {
  const mint = async (wish: Wish) => githubAppMint.mint(stage(), (await signIn()).credential, wish)

  it('is good for the repositories and permissions that were named, and ends when GitHub says', async () => {
    const { worn, kept, scopes, expiresAt } = await mint({
      repositories: ['acme/api'],
      scopes: ['contents:read'],
    })
    expect(github.issued.at(-1)).toMatchObject({
      token: worn['accessToken']?.reveal(),
      repositories: ['api'],
      permissions: { contents: 'read', metadata: 'read' },
    })
    expect([kept, scopes]).toEqual([{}, ['contents:read', 'metadata:read']])
    expect(expiresAt?.getTime()).toBeGreaterThan(Date.now())
  })

  it.each([
    [{ repositories: ['acme/secrets'] }, 'the app may not do all of this there, or has no such repository'],
    [{ scopes: ['administration:write'] }, 'the app may not do all of this there, or has no such repository'],
    [{ repositories: ['umbrella/api'] }, 'the app is not installed on umbrella'],
    [{ repositories: ['acme/web/api'] }, 'this is no repository'],
    [{ scopes: ['contents'] }, 'this is no permission of a GitHub App'],
    [{ audience: 'somebody' }, 'a token of a GitHub App is for nobody by name'],
  ])('is refused for a wish that cannot be fulfilled: %j', async (wish, message) => {
    const refused = await refusal(mint(wish))
    expect(refused).toMatchObject({ code: 'invalid-request', message })
    expect(refused.hint).toBeTruthy()
    expect(github.issued).toHaveLength(1)
  })

  it('is ended at once where it is more than was asked for', async () => {
    github.generous = { contents: 'write' }
    expect(await refusal(mint({ scopes: ['contents:read'] }))).toMatchObject({ code: 'bad-answer' })
    expect(github.issued.at(-1)?.dead).toBe(true)
  })
})
