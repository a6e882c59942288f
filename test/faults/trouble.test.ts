import { afterEach, describe, expect, it } from 'vitest'
import { type Fault, faults } from '../../src/testing/faults.ts'
import { report, size } from '../figures.ts'
import { openStage, type Stage, TOKEN } from './broker.ts'

const TOOL = 'a fault proxy before oidc-provider'
const timeout = size(240_000, 3_600_000)
const LONG_GRACE = 3600
const HTML = { 'content-type': 'text/html' }
const JSON_TYPE = { 'content-type': 'application/json' }

/** What happens on the way to a token endpoint that is alive and well. */
const TROUBLE: Readonly<Record<string, Fault>> = {
  'a connection that is refused': faults.refuse,
  'a connection that is reset at once': faults.reset(0),
  'a connection that is reset in the answer': faults.reset(20),
  'an answer that is lost': faults.loseAnswer,
  'an answer that is cut off': faults.truncate(20),
  'a 500': faults.answer(500, HTML, '<h1>Oops</h1>'),
  'a 502 with the words of a dead grant': faults.answer(502, JSON_TYPE, '{"error":"invalid_grant"}'),
  'a 503 that says when': faults.answer(503, { 'retry-after': '1' }),
  'a 429 that says when': faults.answer(429, { 'retry-after': '1', ...JSON_TYPE }, '{"error":"slow_down"}'),
  'a 400 without a reason': faults.answer(400, HTML, 'Bad Request'),
  'the page of a captive portal': faults.answer(200, HTML, '<title>Free Wi-Fi</title>'),
  'JSON that is cut off': faults.answer(200, JSON_TYPE, '{"access_token":"'),
}

let stage: Stage

afterEach(() => stage?.close())

async function renewAll(addresses: readonly string[]): Promise<number> {
  const ends = await Promise.allSettled(addresses.map((address) => stage.desk.refresh(address)))
  return ends.filter(({ status }) => status === 'fulfilled').length
}

describe('trouble that passes', { timeout }, () => {
  it('never ends a grant', async () => {
    stage = await openStage(LONG_GRACE)
    const { practice, desk } = stage
    const addresses = await stage.connectMany(size(10, 50))
    let ended = 0
    for (const [name, fault] of Object.entries(TROUBLE)) {
      await practice.proxy.set(fault, TOKEN)
      expect([name, await renewAll(addresses)]).toEqual([name, 0])
      await practice.proxy.set(undefined)
      ended += (await desk.accounts()).filter(({ status }) => status === 'needs-reauth').length
      expect([name, await renewAll(addresses)]).toEqual([name, addresses.length])
    }
    const all = await desk.accounts()
    report(
      'false needs-reauth under 12 transient faults',
      ended,
      Object.keys(TROUBLE).length * addresses.length,
      TOOL,
    )
    expect([ended, all.every(({ status }) => status === 'connected')]).toEqual([0, true])
  })

  it('passes by itself: nobody has to come by', async () => {
    stage = await openStage(LONG_GRACE)
    const { practice } = stage
    const addresses = await stage.connectMany(3)
    await practice.proxy.set(faults.answer(503), TOKEN)
    await renewAll(addresses)
    expect((await stage.desk.accounts()).map(({ status }) => status)).toEqual([
      'failing',
      'failing',
      'failing',
    ])
    await practice.proxy.set(undefined)
    const all = await stage.accountsOnce((all) => all.every(({ status }) => status !== 'failing'))
    expect(all.map(({ status }) => status)).toEqual(['connected', 'connected', 'connected'])
  })
})

describe('an answer that was lost on the way', { timeout }, () => {
  it('is asked for once more at once, and given by a provider with grace', async () => {
    stage = await openStage(LONG_GRACE)
    const addresses = await stage.connectMany(100)
    const before = stage.tokenCalls()
    let recovered = 0
    // One after the other, so that each loses one answer and no other's.
    for (const address of addresses) {
      stage.practice.proxy.next(faults.loseAnswer, TOKEN)
      recovered += await renewAll([address])
    }
    report('lost answers recovered, provider with grace', recovered, addresses.length, TOOL)
    expect(recovered).toBe(addresses.length)
    expect(stage.tokenCalls() - before).toBe(2 * addresses.length)
  })

  it('is told within five seconds where the provider is strict', async () => {
    stage = await openStage(0)
    const addresses = await stage.connectMany(100)
    const before = stage.tokenCalls()
    let slowest = 0
    for (const address of addresses) {
      stage.practice.proxy.next(faults.loseAnswer, TOKEN)
      const begun = performance.now()
      await stage.desk.refresh(address).catch(() => undefined)
      slowest = Math.max(slowest, performance.now() - begun)
    }
    const told = (await stage.desk.accounts()).filter(
      ({ status, reason }) => status === 'needs-reauth' && reason?.startsWith('lost on the way'),
    ).length
    const calls = (stage.tokenCalls() - before) / addresses.length
    report('lost answers told, strict provider', told, addresses.length, TOOL)
    report('token calls each, of at most', calls, 2, TOOL)
    report('seconds until the slowest was told, of at most', (slowest / 1000).toFixed(1), 5, TOOL)
    expect(told).toBe(addresses.length)
    expect(calls).toBeLessThanOrEqual(2)
    expect(slowest).toBeLessThan(5000)
  })
})
