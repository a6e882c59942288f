import { afterEach, describe, expect, it } from 'vitest'
import { faults } from '../../src/testing/faults.ts'
import { report, size } from '../figures.ts'
import { until } from '../real.ts'
import { openStage, type Stage, TOKEN } from './broker.ts'

const TOOL = 'SIGKILL to the real command, oidc-provider'
const timeout = size(240_000, 3_600_000)
const LONG_GRACE = 3600

let stage: Stage

afterEach(() => stage?.close())

/** Renews all of them, and kills the broker once some are acknowledged; says which. */
async function dieOverRenewals(addresses: readonly string[]): Promise<readonly string[]> {
  const done: string[] = []
  const enough = Math.ceil(Math.random() * addresses.length)
  const ends = addresses.map((address) =>
    stage.desk.refresh(address).then(
      () => void done.push(address),
      () => undefined,
    ),
  )
  await until(() => done.length >= enough, 120)
  await stage.kill()
  await Promise.all(ends)
  return done
}

/** All of them are being renewed, every answer is given, and none has arrived: then the broker dies. */
async function dieOverAnswers(addresses: readonly string[]): Promise<void> {
  const held = faults.holdAnswer()
  const before = stage.tokenCalls()
  await stage.practice.proxy.set(held, TOKEN)
  const doomed = addresses.map((address) => stage.desk.refresh(address).catch(() => undefined))
  await until(() => held.held() >= addresses.length, 120)
  expect(stage.tokenCalls() - before).toBe(addresses.length)
  await stage.kill()
  await Promise.all(doomed)
  await stage.practice.proxy.set(undefined)
  held.release()
}

describe('a broker that is killed', { timeout }, () => {
  it('after it wrote down an answer, has lost none of what it had acknowledged', async () => {
    stage = await openStage(LONG_GRACE)
    const addresses = await stage.connectMany(size(30, 200))
    const wanted = size(120, 5000)
    let acknowledged = 0
    let lost = 0
    while (acknowledged < wanted) {
      const done = await dieOverRenewals(addresses)
      await stage.start()
      const kept = await Promise.all(done.map(stage.isLent))
      acknowledged += done.length
      lost += kept.filter((one) => !one).length
    }
    report('grants lost, SIGKILL after the write', lost, acknowledged, TOOL)
    expect(lost).toBe(0)
  })

  it('between an answer and its write, loses nothing at a provider that gives grace', async () => {
    stage = await openStage(LONG_GRACE)
    const addresses = await stage.connectMany(size(40, 100))
    await dieOverAnswers(addresses)
    await stage.start()
    const lent = await Promise.all(addresses.map(stage.isLent))
    const lost = (await stage.desk.accounts()).filter(({ status }) => status !== 'connected').length
    report('grants lost, SIGKILL between answer and write, provider with grace', lost, addresses.length, TOOL)
    expect([lost, lent.filter((one) => !one)]).toEqual([0, []])
  })

  it('between an answer and its write, says so at its next start where the provider is strict', async () => {
    stage = await openStage(0)
    const addresses = await stage.connectMany(size(40, 100))
    const before = stage.tokenCalls()
    await dieOverAnswers(addresses)
    await stage.start()
    // Nobody asks for any of them: the broker looks after what it finds.
    const told = await stage.accountsOnce((all) => all.every(isOver), 120)
    const calls = (stage.tokenCalls() - before) / addresses.length
    report(
      'reported at the next start, SIGKILL between answer and write, strict provider',
      told.length,
      addresses.length,
      TOOL,
    )
    report('token calls each, of at most', calls, 2, TOOL)
    expect(told.map(({ reason }) => reason)).toEqual(
      addresses.map(() => expect.stringMatching(/^lost in a crash/)),
    )
    expect(calls).toBeLessThanOrEqual(2)
  })
})

function isOver({ status }: { readonly status: string }): boolean {
  return status === 'needs-reauth'
}
