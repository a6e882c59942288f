import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Aws, openAws, START } from '../../test/aws.ts'
import { builtInStage } from '../../test/built-in-stage.ts'
import { refusal } from '../../test/house.ts'
import type { Credential, Profile } from '../model/credential.ts'
import type { FlowContext, FlowTurn, Unkept } from '../model/flow.ts'
import { Secret } from '../model/secret.ts'
import type { FlowStep } from '../model/words.ts'
import { openNetwork } from '../network/network.ts'
import { readBuiltIn } from '../providers/built-in.ts'
import { openCatalogue } from '../providers/catalogue.ts'
import { flowContract } from '../testing/flow-contract.ts'
import { issuedBy } from '../testing/oauth-stage.ts'
import { awsSsoFlow } from './aws-sso.ts'
import { awsSsoMint } from './minting/aws-sso.ts'

const rooms = { openNetwork, openCatalogue, readBuiltIn }

let aws: Aws
let passed = 0

beforeEach(async () => {
  aws = await openAws()
  passed = 0
})
afterEach(() => aws.close())

const now = () => new Date(Date.now() + passed * 1000)

const stage = (known: Readonly<Record<string, string>> = {}, origin = aws.origin): FlowContext =>
  builtInStage(rooms, { provider: 'aws', flow: 'aws-sso', origin, known, now })

const fields = (values: Readonly<Record<string, string>>) => ({
  fields: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, new Secret(value)])),
})

function answering(step: FlowStep, startUrl: string) {
  const [field] = step.ask === 'fill' ? step.fields : []
  return fields(field?.kind === 'choice' ? { [field.name]: field.choices?.[0] ?? '' } : { startUrl })
}

const contractStage = async (known: Readonly<Record<string, string>>) => {
  const there = await openAws()
  // What lives no longer than this is renewed each time that keys are asked for.
  there.sso.tokenSeconds = 60
  let clock = Date.now()
  const context = { ...stage(known, there.origin), now: () => new Date(clock) }
  return {
    flow: () => awsSsoFlow,
    context,
    answer: (step: FlowStep) => answering(step, START),
    wrongAnswer: () => fields({ startUrl: 'https://other.awsapps.com/start' }),
    enter: () => {
      there.sso.entered = true
    },
    pass: (until: Date) => {
      clock = until.getTime()
    },
    secrets: [there.sso.token, there.sso.refreshToken, there.sso.clientSecret],
    close: async () => {
      await context.network.close()
      await there.close()
    },
  }
}

flowContract('aws-sso', () => contractStage({}))
flowContract('aws-sso, where the start URL is known', () => contractStage({ startUrl: START }))

function stepOf(turn: FlowTurn) {
  if (!('step' in turn)) throw new Error('nothing is asked')
  return turn
}

const begin = async (known = {}) => stepOf(await awsSsoFlow.begin(stage({ startUrl: START, ...known })))

const look = (memory: Secret, seconds = 1) => {
  passed += seconds
  return awsSsoFlow.next(stage(), memory, undefined)
}

interface SignedIn {
  readonly credential: Credential
  readonly profile: Profile
  readonly vars: Profile['vars']
}

async function signIn(more = {}): Promise<SignedIn> {
  aws.sso.entered = true
  const { memory } = await begin({ accountId: '123456789012', roleName: 'ReadOnly', ...more })
  const { credential, profile } = issuedBy(await look(memory))
  return { credential, profile, vars: profile.vars }
}

describe('a sign-in to IAM Identity Center', () => {
  it('shows a code that is entered elsewhere, and looks when it may', async () => {
    const first = await begin()
    expect(first.step).toMatchObject({
      ask: 'enter-code',
      code: 'ABCD-EFGH',
      whole: new URL('https://example.awsapps.com/start/#/device?user_code=ABCD-EFGH'),
      everySeconds: 1,
    })
    const early = stepOf(await look(first.memory, 0))
    expect([aws.sso.asked, early.step]).toEqual([0, first.step])
    const second = stepOf(await look(first.memory))
    expect(aws.sso.asked).toBe(1)
    aws.sso.says = 'slow_down'
    const third = stepOf(await look(second.memory))
    expect(third.step).toMatchObject({ everySeconds: 6 })
    await look(third.memory, 5)
    expect(aws.sso.asked).toBe(2)
  })

  it('lets the person choose account and role, of all pages', async () => {
    aws.sso.entered = true
    const first = stepOf(await look((await begin()).memory))
    expect(first.step).toMatchObject({
      fields: [
        { name: 'accountId', choices: ['of 123456789012 (123456789012)', 'of 210987654321 (210987654321)'] },
      ],
    })
    const account = fields({ accountId: 'of 123456789012 (123456789012)' })
    const second = stepOf(await awsSsoFlow.next(stage(), first.memory, account))
    expect(second.step).toMatchObject({ fields: [{ name: 'roleName', choices: ['ReadOnly', 'Admin'] }] })
    const done = issuedBy(await awsSsoFlow.next(stage(), second.memory, fields({ roleName: 'Admin' })))
    expect(done.profile).toMatchObject({
      subject: '123456789012/Admin',
      displayName: 'Admin of 123456789012',
    })
    expect(Object.keys(done.credential.worn)).toEqual(['AccessKeyId', 'SecretAccessKey', 'SessionToken'])
    expect(done.credential.standing).toBe(false)
  })

  it('asks for nothing of which there is one', async () => {
    aws.sso.entered = true
    const { memory } = await begin({ accountId: '210987654321' })
    expect(issuedBy(await look(memory)).profile.subject).toBe('210987654321/Billing')
  })

  it('takes no role for another one that was named, where it is the only one there', async () => {
    aws.sso.entered = true
    const { memory } = await begin({ accountId: '210987654321', roleName: 'ReadOnly' })
    expect(stepOf(await look(memory)).step).toMatchObject({
      fields: [{ name: 'roleName', choices: ['Billing'] }],
    })
  })

  it.each([
    ['expired_token', 'flow-expired'],
    ['access_denied', 'access-denied'],
  ] as const)('ends where AWS says %s', async (says, code) => {
    aws.sso.says = says
    expect(await refusal(look((await begin()).memory))).toMatchObject({ code })
  })

  it('ends with its code', async () => {
    const { memory } = await begin()
    expect(await refusal(look(memory, 601))).toMatchObject({ code: 'flow-expired' })
  })

  it('tells what was issued and is not kept, so that it can be ended', async () => {
    aws.sso.entered = true
    const { memory } = stepOf(await look((await begin()).memory))
    const unkept = awsSsoFlow.unkept?.(memory)
    expect(unkept).toBeDefined()
    await awsSsoFlow.revoke(stage(), unkept?.credential as Credential)
    expect(aws.sso.loggedOut).toBe(true)
  })

  it('tells it as well where AWS then does not say what it is for', async () => {
    aws.sso.entered = true
    const { memory } = await begin()
    const { network, ...rest } = stage()
    const fetch: typeof network.fetch = async (url, request) =>
      url.pathname.startsWith('/assignment')
        ? new Response('{}', { status: 403 })
        : network.fetch(url, request)
    passed += 1
    const looking = awsSsoFlow.next({ ...rest, network: { ...network, fetch } }, memory, undefined)
    const trouble = await looking.catch((error: unknown) => error)
    expect(trouble).toMatchObject({ code: 'bad-answer' })
    const { unkept } = (trouble as { cause: Unkept }).cause
    await awsSsoFlow.revoke(stage(), unkept.credential)
    expect(aws.sso.loggedOut).toBe(true)
  })
})

describe('keys of a role', () => {
  const renew = (credential: Credential) => awsSsoFlow.refresh?.(stage(), credential) as Promise<Credential>

  it('are had anew by the sign-in, which is renewed only near its own end', async () => {
    const { credential } = await signIn()
    const once = await renew(credential)
    expect(once.worn['AccessKeyId']?.reveal()).not.toBe(credential.worn['AccessKeyId']?.reveal())
    expect(aws.sso.refreshes).toBe(0)
    passed += 3500
    const twice = await renew(once)
    expect(aws.sso.refreshes).toBe(1)
    expect(twice.kept['tokenEnds']?.reveal()).not.toBe(once.kept['tokenEnds']?.reveal())
  })

  it('are over with the session, and not with a role that was taken away', async () => {
    const { credential } = await signIn()
    passed += 3500
    aws.sso.isOver = true
    expect(await refusal(renew(credential))).toMatchObject({ code: 'access-revoked' })
    aws.sso.isOver = false
    Object.assign(aws.sso.roles, { '123456789012': [] })
    expect(await refusal(renew(credential))).toMatchObject({ code: 'refused-by-policy' })
  })

  it('die by themselves when the session is ended', async () => {
    const { credential } = await signIn()
    const [session, keys] = await awsSsoFlow.revoke(stage(), credential)
    expect([session, keys]).toEqual([
      { what: 'session', died: true, how: 'ended at the provider' },
      {
        what: 'keys of the role',
        died: false,
        how: `AWS lets nobody end them; they die by themselves, at ${credential.expiresAt?.toISOString()} at the latest`,
      },
    ])
  })

  it('are minted for another role of the same person, and for no other', async () => {
    const { credential, profile } = await signIn()
    const isBeyond = (audience: string) => awsSsoMint.isBeyond?.(profile, { audience })
    expect(['123456789012/ReadOnly', '210987654321/Billing'].map(isBeyond)).toEqual([false, true])
    const mint = (audience?: string, more = {}) =>
      awsSsoMint.mint(stage(), credential, { ...(audience && { audience }), ...more })
    const { worn, expiresAt } = await mint('210987654321/Billing')
    expect(aws.keys.get(worn['AccessKeyId']?.reveal() ?? '')?.arn).toContain(
      '210987654321:assumed-role/Billing',
    )
    expect(expiresAt?.getTime()).toBeGreaterThan(Date.now())
    expect(await refusal(mint('210987654321/Admin'))).toMatchObject({ code: 'invalid-request' })
    expect(await refusal(mint('Billing'))).toMatchObject({ code: 'invalid-request' })
    expect(await refusal(mint('210987654321/Billing', { scopes: ['a'] }))).toMatchObject({
      code: 'invalid-request',
    })
    passed += 3500
    expect(await refusal(mint('210987654321/Billing'))).toMatchObject({ code: 'invalid-token' })
  })
})
