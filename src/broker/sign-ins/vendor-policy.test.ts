import { writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { type VendorLogins, vendorLogins } from '../../../test/vendor-logins.ts'
import type { CallerId } from '../../model/caller.ts'
import { Secret } from '../../model/secret.ts'
import type { FlowSession } from '../../model/words.ts'
import { openHouse } from '../../open.ts'
import { wherePaths } from '../../where.ts'

let there: VendorLogins
let house: TestHouse | undefined

beforeEach(async () => {
  there = await vendorLogins()
})

afterEach(async () => {
  await house?.close()
  house = undefined
  await there.close()
})

async function opened(vendorLogins: readonly string[] = []): Promise<TestHouse> {
  const { origin } = there
  const origins = { anthropic: origin, openai: origin, qwen: origin }
  house = await openTestHouse({ origins, config: { vendorLogins } })
  return house
}

const BROWSER = { provider: 'anthropic', flow: 'authorization-code' } as const
const thrown = (work: Promise<unknown>) => work.catch((error: unknown) => error)

async function signedIn({ owner }: TestHouse): Promise<FlowSession> {
  const { id, step } = await owner.connect(BROWSER)
  if (step?.ask !== 'visit') throw new Error('nobody is sent off')
  const back = new URL(step.url.searchParams.get('redirect_uri') ?? '')
  back.searchParams.set('code', there.consent(step.url))
  back.searchParams.set('state', step.url.searchParams.get('state') ?? '')
  return owner.answer(id, { callback: new Secret(back.href) })
}

describe('a way in that its vendor forbids, or has ended', () => {
  it.each([
    [
      'anthropic',
      'authorization-code',
      'this way into Anthropic is not for programs like this one: since February 2026 Anthropic’s terms keep the Claude login to its own programs',
    ],
    [
      'gemini',
      'authorization-code',
      'this way into Google Gemini is not for programs like this one: Google’s terms keep the login of the Gemini CLI to the Gemini CLI, and accounts were suspended for it',
    ],
    [
      'qwen',
      'device-code',
      'this way into Qwen does not exist any more: Alibaba ended it on 2026-04-15, and turns new sign-ins away',
    ],
  ])('is refused at %s by %s, with the key as the next step', async (provider, flow, message) => {
    const { owner } = await opened()
    expect(await thrown(owner.connect({ provider, flow }))).toMatchObject({
      code: 'vendor-policy',
      message: message.replaceAll('’', "'"),
      hint: `valetkey connect ${provider} --flow api-key`,
      instead: { flow: 'api-key', label: 'a key' },
    })
    expect(there.requests).toEqual([])
  })

  it('is refused by the name of the login too, and nothing else is given for it', async () => {
    const { owner } = await opened()
    expect(await refusal(owner.connect({ provider: 'claude-login' }))).toMatchObject({
      code: 'vendor-policy',
    })
  })

  it.each(['anthropic', 'claude', 'openai', 'gemini'])(
    'is never taken by itself: %s asks for a key',
    async (provider) => {
      const { owner } = await opened(['anthropic', 'gemini'])
      expect(await owner.connect({ provider })).toMatchObject({ flow: 'api-key', step: { ask: 'fill' } })
    },
  )

  it('is nobody’s to insist on, and no caller’s to switch on', async () => {
    const { owner, as } = await opened()
    expect(await refusal(owner.connect({ ...BROWSER, insist: true }))).toMatchObject({
      code: 'vendor-policy',
    })
    const grants = [{ address: 'anthropic', may: ['connect'] }] as const
    const { key } = await owner.narrow({ kind: 'key', grants })
    const app = as(key.id as CallerId)
    expect(await refusal(app.connect(BROWSER))).toMatchObject({ code: 'vendor-policy' })
  })

  it('is shown on no card, so that nobody is led to it', async () => {
    const { owner } = await opened()
    const card = (await owner.providers()).find(({ id }) => id === 'anthropic')
    expect(card).toMatchObject({ flows: ['api-key'], aliases: ['claude', 'claude-login'] })
    expect(card?.ways.map(({ flow, tried }) => [flow, tried])).toEqual([
      ['api-key', 'by-itself'],
      ['authorization-code', 'not-here'],
    ])
  })

  it.each(['anthropic', 'claude', 'claude-login'])(
    'is gone where the operator switched it on as %s, with a notice',
    async (name) => {
      const { owner } = await opened([name])
      expect(await owner.connect(BROWSER)).toMatchObject({
        step: { ask: 'visit' },
        notice: "since February 2026 Anthropic's terms keep the Claude login to its own programs",
      })
    },
  )

  it('is not renewed once it is switched off again, and goes on where it was once it is on', async () => {
    const open = await opened(['anthropic'])
    expect(await signedIn(open)).toMatchObject({ state: 'done' })
    const get = () => open.owner.forward({ address: 'claude', method: 'GET', path: '/v1/models' })
    expect((await get()).status).toBe(200)
    await open.meanwhile(() => configure(open, []))
    const before = there.asked.length
    expect(await refusal(get())).toMatchObject({ code: 'vendor-policy' })
    expect((await open.owner.accounts())[0]).toMatchObject({ status: 'failing' })
    expect(there.asked).toHaveLength(before)
    await open.meanwhile(() => configure(open, ['anthropic']))
    await open.owner.refresh('anthropic')
    expect((await get()).status).toBe(200)
  })

  it('is not gone on with in a sign-in that was begun before it was switched off', async () => {
    const open = await opened(['anthropic'])
    const { id, step } = await open.owner.connect(BROWSER)
    if (step?.ask !== 'visit') throw new Error('nobody is sent off')
    await open.meanwhile(() => configure(open, []))
    const callback = new Secret('http://localhost/callback?code=x')
    expect(await refusal(open.owner.answer(id, { callback }))).toMatchObject({ code: 'vendor-policy' })
    expect(there.asked).toEqual([])
  })
})

it('refuses a switch for a provider that nobody knows', async () => {
  const open = await opened()
  await open.meanwhile(async () => {
    await configure(open, ['nosuch'])
    expect(await refusal(openHouse({ home: open.home, env: {} }))).toMatchObject({
      code: 'config-invalid',
      hint: 'correct "vendorLogins" there',
    })
    await configure(open, [])
  })
})

async function configure({ home }: TestHouse, vendorLogins: readonly string[]): Promise<void> {
  const { configFile } = wherePaths({ home, env: {} })
  const { origin: anthropic } = there
  const allow = [new URL(anthropic).host]
  await writeFile(configFile, JSON.stringify({ origins: { anthropic }, allow, vendorLogins }))
}
