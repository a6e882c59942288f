import { describe, expect, it } from 'vitest'
import type { Account, ConnectRequest, Desk, FlowSession } from '#client'
import { connect } from './signing-in.ts'

const VISIT = { ask: 'visit', url: 'https://login.test/', until: '2027-03-01T12:10:00.000Z' } as const

/** An agent's desk, and the owner's, at which `openai` is connected by a key. */
function deskOf(status: Account['status']) {
  const cancelled: string[] = []
  const asked: ConnectRequest[] = []
  const there = { id: 'account-1', providerId: 'openai', bucket: 'default', status } as Account
  const session = (flow: string) =>
    ({
      id: 'flow-1',
      provider: 'openai',
      bucket: 'default',
      flow,
      state: 'asking',
      step: VISIT,
    }) as FlowSession
  const desk = {
    accounts: async () => [there],
    reconnect: async (_: string, request: ConnectRequest = {}) => {
      asked.push(request)
      return { ...session(request.flow ?? 'api-key'), passedOver: [], instead: null, notice: null }
    },
    cancel: async (id: string) => {
      cancelled.push(id)
      return session('api-key')
    },
    flow: async () => session('api-key'),
  } as unknown as Desk
  const begin = (flow?: string) =>
    connect(desk, desk).work(
      { account: 'openai', ...(flow !== undefined && { flow }) },
      new AbortController().signal,
    )
  return { begin, asked, cancelled }
}

describe('signing in again for an agent', () => {
  it('does not put a login of another kind in the place of one that works', async () => {
    const { begin, cancelled } = deskOf('connected')
    await expect(begin('device-code')).rejects.toMatchObject({
      code: 'conflict',
      reaction: 'ask-the-person',
      message: 'openai is connected another way, and stays as it is',
      hint: expect.stringMatching(/^valetkey reconnect openai --flow device-code /),
    })
    expect(cancelled).toEqual(['flow-1'])
  })

  it.each([
    ['as before where that is what it says', 'connected', 'api-key', [{}]],
    ['as before where it says nothing', 'connected', undefined, [{}]],
    [
      'another way where what is there works no more',
      'needs-reauth',
      'device-code',
      [{ flow: 'device-code' }],
    ],
  ] as const)('is done %s', async (_, status, flow, requests) => {
    const { begin, asked, cancelled } = deskOf(status)
    await begin(flow)
    expect([asked, cancelled]).toEqual([requests, []])
  })
})
