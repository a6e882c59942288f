import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { openNetwork } from '../network/network.ts'
import { type StandInRoute, standIn } from '../testing/stand-in.ts'
import { ask } from './ask.ts'

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function at(route: StandInRoute) {
  const there = await standIn({ '*': route }).listen()
  const network = openNetwork({ allow: [there.origin] })
  closing.push(network.close, there.close)
  return { network, url: new URL(there.origin) }
}

/** An answer that goes on, piece by piece, for as long as it is read. */
async function* trickling() {
  for (;;) {
    yield ' '
    await pause(20)
  }
}

describe('one request and its whole answer', () => {
  it('has one limit from its first byte to its last, however lively it is', async () => {
    const { network, url } = await at(() => ({ body: trickling() }))
    await expect(ask(network, url, {}, { seconds: 0.5 })).rejects.toMatchObject({ code: 'answer-timeout' })
  })

  it('has the same limit where nothing comes at all', async () => {
    const { network, url } = await at({ afterMs: 60_000 })
    await expect(ask(network, url, {}, { seconds: 0.2 })).rejects.toMatchObject({ code: 'answer-timeout' })
  })

  it('keeps the limit that it was given beside its own', async () => {
    const { network, url } = await at(() => ({ body: trickling() }))
    const signal = AbortSignal.timeout(200)
    await expect(ask(network, url, { signal })).rejects.toMatchObject({ code: 'answer-timeout' })
  })

  it('tells how long the server wants to be left alone, by the clock that is handed in', async () => {
    const headers = { 'retry-after': 'Fri, 20 Nov 2026 12:01:30 GMT' }
    const { network, url } = await at({ status: 503, headers })
    const now = () => new Date('2026-11-20T12:00:00Z')
    expect((await ask(network, url, {}, { now })).retryAfter).toBe(90)
    expect((await ask(network, url)).retryAfter).toBeUndefined()
  })
})
