import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type Caller, THE_PERSON } from '../../model/caller.ts'
import type { Ask, Desk, KeeperDesk } from '../../model/words.ts'
import { httpDoor } from './door.ts'

const OWNER: Caller = { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'test' } }
const PENDING = { id: 'ask-1', state: 'pending' } as Ask
const JSON_BODY = { 'content-type': 'application/json' }

function opened(desk: Partial<Desk>) {
  const door = httpDoor({
    version: '0.0.1',
    desk: () => desk as Desk,
    keeper: () => ({}) as KeeperDesk,
    identify: async () => OWNER,
  })
  return (path: string, init: RequestInit = {}, closing?: AbortSignal) =>
    door.fetch(new Request(new URL(path, 'http://valetkey'), init), { closing })
}

const post = (path: string, body: object) =>
  opened({})(path, { method: 'POST', headers: JSON_BODY, body: JSON.stringify(body) })

describe('waiting for an answer at the door', () => {
  it('is as long as was said', async () => {
    const asked: unknown[][] = []
    const ask = opened({
      asked: async (...words) => {
        asked.push(words)
        return PENDING
      },
    })
    await ask('/api/asks/ask-1')
    await ask('/api/asks/ask-1?wait=60')
    expect(asked).toEqual([
      ['ask-1', 0],
      ['ask-1', 60],
    ])
    for (const much of ['61', '-1', '1.5', 'long'])
      expect((await ask(`/api/asks/ask-1?wait=${much}`)).status).toBe(400)
  })

  it('keeps no door from closing', async () => {
    const closing = new AbortController()
    const asked: Desk['asked'] = async (_, seconds = 0) => {
      await wait(seconds * 1000, undefined, { ref: false })
      return PENDING
    }
    const began = performance.now()
    const answer = opened({ asked })('/api/asks/ask-1?wait=60', {}, closing.signal)
    await wait(20)
    closing.abort()
    expect(await (await answer).json()).toEqual(PENDING)
    expect(performance.now() - began).toBeLessThan(2000)
  })
})

describe('what is asked and answered at the door', () => {
  it.each([
    ['/api/asks', { address: 'openai', may: ['lend'], reason: '' }],
    ['/api/asks', { address: 'openai', may: ['lend'], reason: 'two\nlines' }],
    ['/api/asks', { address: 'openai', may: ['lend'], reason: 'x'.repeat(201) }],
    ['/api/asks', { address: 'openai', may: [], reason: 'x' }],
    ['/api/asks', { address: 'openai', may: ['everything'], reason: 'x' }],
    ['/api/asks', { address: 'openai', may: ['lend'], reason: 'x', caller: 'app:other' }],
    ['/api/asks/ask-1/decide', { decision: 'maybe' }],
    ['/api/asks/ask-1/decide', {}],
  ])('has to be understood: %s %j', async (path, body) => {
    expect((await post(path, body)).status).toBe(400)
  })
})
