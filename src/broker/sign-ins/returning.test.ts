import { mkdtemp } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { leave } from '../../../test/leave.ts'
import { THE_PERSON } from '../../model/caller.ts'
import type { ProviderFile } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import type { FlowSession } from '../../model/words.ts'
import { openHouse } from '../../open.ts'
import { openPractice, type Practice } from '../../practice/practice.ts'
import { visitorOf } from '../../practice/visitor.ts'
import { canary } from '../../testing/canary.ts'
import { standIn } from '../../testing/stand-in.ts'

const closing: (() => unknown)[] = []
let practice: Practice
let house: TestHouse

beforeEach(async () => {
  practice = await openPractice()
  house = await openTestHouse({ practice, start: new Date() })
})

afterEach(async () => {
  await house.close()
  await practice.close()
  for (const close of closing.splice(0)) await close()
})

function linkOf({ step }: FlowSession): URL {
  if (step?.ask !== 'visit') throw new Error('nobody is sent away')
  return step.url
}

function backOf(session: FlowSession): URL {
  return new URL(linkOf(session).searchParams.get('redirect_uri') ?? '')
}

const consent = (session: FlowSession) => visitorOf(practice).consent(linkOf(session))
const begin = (bucket = 'default') => house.owner.connect({ provider: 'practice', bucket })
const pasted = (url: URL) => ({ callback: new Secret(url.href) })

async function isRefused({ port }: URL): Promise<boolean> {
  const socket = connect(Number(port), '127.0.0.1')
  const refused = await new Promise<boolean>((resolve) =>
    socket.once('connect', () => resolve(false)).once('error', () => resolve(true)),
  )
  socket.destroy()
  return refused
}

describe('a browser that was closed, or never comes back', () => {
  it('[security 2.7] leaves a sign-in that is over after its time and says how to begin anew, and nobody at the port', async () => {
    const session = await begin()
    expect(await isRefused(backOf(session))).toBe(false)
    house.clock.pass({ minutes: 10, seconds: -1 })
    expect(await house.owner.flow(session.id)).toMatchObject({ state: 'asking' })
    house.clock.pass({ seconds: 1 })
    const failure = { code: 'flow-expired', hint: 'valetkey connect practice', reaction: 'try-again' }
    expect(await house.owner.flow(session.id)).toMatchObject({ state: 'failed', failure })
    expect(await isRefused(backOf(session))).toBe(true)
    const late = await refusal(house.owner.answer(session.id, pasted(backOf(session))))
    expect(late).toMatchObject({ code: 'flow-used', hint: 'valetkey connect practice' })
  })

  it('is not awaited any more when the sign-in is cancelled, or its answer was pasted', async () => {
    const [cancelled, answered] = [await begin('one'), await begin('two')]
    await house.owner.cancel(cancelled.id)
    await house.owner.answer(answered.id, pasted(await consent(answered)))
    for (const session of [cancelled, answered]) expect(await isRefused(backOf(session))).toBe(true)
  })

  it('is not awaited where the sign-in could not even begin', async () => {
    const listening = () => process.getActiveResourcesInfo().filter((one) => one === 'TCPServerWrap').length
    await practice.close()
    const before = listening()
    expect(await refusal(begin())).toMatchObject({ code: 'network-error' })
    expect(listening()).toBe(before)
  })
})

describe('the last page', () => {
  it('names the app whose wish it was', async () => {
    const home = await mkdtemp(join(tmpdir(), 'valetkey-'))
    const { broker } = await openHouse({ home, app: 'reports', env: {} }, { practice })
    closing.push(() => leave(home))
    const desk = broker.as({ id: THE_PERSON, owner: THE_PERSON, proof: { door: 'test' } })
    const page = await fetch(await consent(await desk.connect({ provider: 'practice' })))
    expect(await page.text()).toContain('You can close this window and go back to reports.')
    await broker.close()
  })
})

describe('an answer that belongs to another sign-in', () => {
  it('[security 1.3] [security 3.5] changes nothing: the right one still may come', async () => {
    const session = await begin()
    const right = await consent(session)
    const wrong = new URL(right)
    wrong.searchParams.set('state', canary('state'))
    expect(await refusal(house.owner.answer(session.id, pasted(wrong)))).toEqual({
      code: 'invalid-state',
      message: 'this answer does not belong to the sign-in under way',
      hint: 'finish it in the browser that began it, or begin again',
    })
    expect(await house.owner.flow(session.id)).toMatchObject({ state: 'asking', step: { ask: 'visit' } })
    expect(await house.owner.answer(session.id, pasted(right))).toMatchObject({ state: 'done' })
  })

  it('[security 6.3] is not shown to have come, wherever it says it is from', async () => {
    const session = await begin()
    const wrong = await consent(session)
    wrong.searchParams.set('iss', 'https://attacker.example')
    const stray = await fetch(wrong)
    expect([stray.status, await stray.text()]).toEqual([400, expect.not.stringContaining('attacker')])
    expect(await house.owner.flow(session.id)).toMatchObject({ state: 'asking' })
    expect(await isRefused(backOf(session))).toBe(false)
  })

  it('[security 1.4] [security 3.5] comes to a path of its own for every provider, and to no other', async () => {
    const session = await begin()
    expect(backOf(session).pathname).toMatch(/^\/practice\/[\w-]{22}$/)
    const right = await consent(session)
    const elsewhere = new URL(right)
    elsewhere.pathname = elsewhere.pathname.replace('/practice/', '/another/')
    expect((await fetch(elsewhere)).status).toBe(400)
    expect(await refusal(house.owner.answer(session.id, pasted(elsewhere)))).toMatchObject({
      code: 'invalid-request',
    })
    expect(await house.owner.answer(session.id, pasted(right))).toMatchObject({ state: 'done' })
  })

  it('[security 1.5] is worth nothing in another sign-in at the same provider, under that one’s own name', async () => {
    const [one, other] = [await begin('one'), await begin('two')]
    const code = (await consent(one)).searchParams.get('code') ?? ''
    const mixed = await consent(other)
    mixed.searchParams.set('code', code)
    const refused = await refusal(house.owner.answer(other.id, pasted(mixed)))
    expect(refused).toMatchObject({ code: 'invalid-code', hint: expect.any(String) })
    expect(await house.owner.accounts()).toEqual([])
  })
})

describe('a provider that keeps one waiting', () => {
  const acme = (origin: string): ProviderFile => ({
    id: 'acme',
    name: 'Acme',
    category: 'other',
    hosts: ['api.acme.test'],
    registration: 'yours',
    oauth: { authorize: 'https://acme.test/authorize', token: `${origin}/token` },
    signIns: [
      {
        flow: 'authorization-code',
        present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
      },
    ],
    revoke: { how: 'console' },
  })

  async function signInAt(origin: string) {
    const slow = await openTestHouse({
      providers: [acme(origin)],
      origins: { acme: origin },
      limits: { connectSeconds: 1, answerSeconds: 1 },
    })
    closing.push(() => slow.close())
    await slow.owner.register({ provider: 'acme', clientId: 'ours', insist: true })
    const session = await slow.owner.connect({ provider: 'acme' })
    const link = linkOf(session)
    const back = backOf(session)
    back.search = String(
      new URLSearchParams({ code: canary('code'), state: link.searchParams.get('state') ?? '' }),
    )
    const page = await (await fetch(back)).text()
    return { page, session: await slow.owner.flow(session.id), gone: await isRefused(back) }
  }

  it('is a connect-timeout where it does not pick up', async () => {
    const silent = createServer((socket) => void closing.push(() => socket.destroy())).listen(0, '127.0.0.1')
    closing.push(() => silent.close())
    await new Promise((resolve) => silent.once('listening', resolve))
    const { port } = silent.address() as AddressInfo
    const { page, session, gone } = await signInAt(`https://127.0.0.1:${port}`)
    expect(session).toMatchObject({
      state: 'failed',
      failure: { code: 'connect-timeout', hint: 'check the network connection and try again' },
    })
    expect(page).toContain('The provider did not pick up in time. Go back to Valetkey and try again.')
    expect(gone).toBe(true)
  })

  it('is an answer-timeout where it picks up and says nothing', async () => {
    const provider = await standIn({ '/token': { afterMs: 5000 } }).listen()
    closing.push(() => provider.close())
    const { page, session, gone } = await signInAt(provider.origin)
    expect(session).toMatchObject({
      state: 'failed',
      failure: { code: 'answer-timeout', hint: 'valetkey connect acme' },
    })
    expect(page).toContain('The provider did not answer in time. Go back to Valetkey and try again.')
    expect(gone).toBe(true)
  })
})
