import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ProviderFile } from '../../src/model/provider.ts'
import { Secret } from '../../src/model/secret.ts'
import type { FlowSession } from '../../src/model/words.ts'
import { openPractice, type Practice } from '../../src/practice/practice.ts'
import { visitorOf } from '../../src/practice/visitor.ts'
import { canary } from '../../src/testing/canary.ts'
import { freePort } from '../free-port.ts'
import { openTestHouse, refusal, type TestHouse } from '../house.ts'
import { isRefused, type Squatter, squat } from './squatter.ts'
import { askAsStranger, noStranger } from './stranger.ts'

let practice: Practice
let port: number
let house: TestHouse
let squatter: Squatter | undefined

beforeAll(async () => {
  practice = await openPractice()
  port = await freePort()
  const providers = [fixedAt('127.0.0.1'), fixedAt('localhost')]
  house = await openTestHouse({ practice, providers, start: new Date() })
})

afterAll(async () => {
  await house?.close()
  await practice?.close()
})

beforeEach(({ skip }) => skip(noStranger !== undefined, noStranger))

afterEach(async () => {
  await squatter?.leave()
  squatter = undefined
})

/** The practice provider, as one that sends every browser back to the same address. */
function fixedAt(host: '127.0.0.1' | 'localhost'): ProviderFile {
  const { file, client } = practice
  const redirect = { host, port, path: '/callback' }
  const signIns = file.signIns.map((signIn) => ({ ...signIn, redirect }))
  const oauth = { ...file.oauth, clientId: client.clientId }
  return { ...file, id: `at-${host}`, name: 'Fixed', registration: 'shipped', oauth, signIns }
}

function linkOf({ step }: FlowSession): URL {
  if (step?.ask !== 'visit') throw new Error('nobody is sent away')
  return step.url
}

describe('another user of this computer, on a port that a provider has fixed', () => {
  it('[security 18.6] is named, and the sign-in does not begin', async () => {
    squatter = await squat('127.0.0.1', port)
    expect(await refusal(house.owner.connect({ provider: 'at-127.0.0.1' }))).toEqual({
      code: 'port-taken',
      message: `node (process ${squatter.pid}) of user 65534 holds port ${port}, where the browser has to come back to`,
      hint: 'end it, then try again',
    })
  })

  it('[security 18.6] [security 0.3] is not let in beside us where the name of the address leads to both', async () => {
    squatter = await squat('::1', port)
    expect(await refusal(house.owner.connect({ provider: 'at-localhost' }))).toMatchObject({
      code: 'port-taken',
      message: `node (process ${squatter.pid}) of user 65534 holds port ${port}, where the browser has to come back to`,
    })
    expect(await isRefused({ hostname: '127.0.0.1', port: String(port) })).toBe(true)
  })

  it('[security 18.6] [security 1.5] gets nothing for a code that was delivered to it', async () => {
    const session = await house.owner.connect({ provider: 'at-127.0.0.1' })
    // Our broker is gone for a moment, and somebody else is faster.
    const back = await house.meanwhile(async () => {
      squatter = await squat('127.0.0.1', port)
      const back = await visitorOf(practice).consent(linkOf(session))
      await fetch(back)
      return back
    })
    const got = new URL((await squatter?.next()) ?? '', back)
    expect(got.href).toBe(back.href)
    const { searchParams } = got
    const asked = {
      grant_type: 'authorization_code',
      client_id: practice.client.clientId,
      redirect_uri: `${back.origin}${back.pathname}`,
      code: searchParams.get('code') ?? '',
    }
    const challenge = linkOf(session).searchParams.get('code_challenge') ?? ''
    const tries = [{}, { code_verifier: canary('verifier').padEnd(43, 'x') }, { code_verifier: challenge }]
    const heard = await askAsStranger(
      { port: Number(practice.origin.port) },
      tries.map((more) => ({
        method: 'POST',
        path: '/token',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: String(new URLSearchParams({ ...asked, ...more })),
      })),
    )
    const errors = heard.map(({ status, text = '' }) => [status, JSON.parse(text).error])
    expect(errors).toEqual(tries.map(() => [400, 'invalid_grant']))
    await squatter?.leave()
    squatter = undefined
    const done = await house.owner.answer(session.id, { callback: new Secret(back.href) })
    expect(done).toMatchObject({ state: 'done', account: { subject: 'alice' } })
  })
})
