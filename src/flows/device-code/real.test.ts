import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../network/network.ts'
import { openPractice, type Practice } from '../../practice/practice.ts'
import { visitorOf } from '../../practice/visitor.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { deviceServer } from '../../testing/device-server.ts'
import { type FlowStage, flowContract } from '../../testing/flow-contract.ts'
import { oauthStage } from '../../testing/oauth-stage.ts'
import { deviceCodeFlow } from '../device-code.ts'

const nobody = () => ({ fields: {} })

/** A clock that goes on when it is told to. */
function clock() {
  let at = Date.now()
  return {
    now: () => new Date(at),
    pass: (until: Date) => {
      at = Math.max(at, until.getTime())
    },
  }
}

let practice: Practice
const shared = clock()

beforeAll(async () => {
  practice = await openPractice({ now: shared.now })
})
afterAll(() => practice.close())

flowContract('device-code, at a real server', atPractice)

async function atPractice() {
  const { oauth = { issuer: '' }, hosts, revoke, signIns } = practice.file
  const { scopes = [], ...signIn } = signIns.find(({ flow }) => flow === 'device-code') ?? {}
  const context = oauthStage(
    { openCatalogue, openNetwork },
    { oauth, scopes, signIn, provider: { hosts, revoke }, allow: [practice.origin.origin] },
  )
  const client = { ...practice.client, clientSecret: undefined }
  return {
    flow: () => deviceCodeFlow(),
    context: { ...context, client, now: shared.now, redirectUri: undefined, state: undefined },
    answer: nobody,
    wrongAnswer: nobody,
    enter: ({ code }) => visitorOf(practice).enter(code),
    pass: shared.pass,
    secrets: [],
    close: () => context.network.close(),
  } satisfies FlowStage
}

flowContract('device-code, at a server with opinions of its own', async () => {
  const { now, pass } = clock()
  const server = await deviceServer({ now, replies: ['slow_down', 'authorization_pending'] })
  const at = (path: string) => `${server.origin}${path}`
  const context = oauthStage(
    { openCatalogue, openNetwork },
    {
      oauth: {
        authorize: at('/authorize'),
        token: at('/token'),
        device: { authorize: at('/device') },
        revoke: at('/revoke'),
      },
      scopes: ['read'],
      signIn: { flow: 'device-code', verify: { url: at('/me'), subject: '/id', displayName: '/name' } },
      provider: { hosts: [new URL(server.origin).host] },
      allow: [server.origin],
    },
  )
  return {
    flow: () => deviceCodeFlow(),
    context: { ...context, now, redirectUri: undefined, state: undefined },
    answer: nobody,
    wrongAnswer: nobody,
    enter: () => server.enter(),
    pass,
    secrets: Object.values(server.secrets),
    close: async () => {
      await context.network.close()
      await server.close()
    },
  }
})

describe('an ID token that came for a code', () => {
  it.each(['signature', 'nobody'] as const)('counts when it is proved: %s', async (what) => {
    const stage = await atPractice()
    const { network } = stage.context
    const fetch: typeof network.fetch = async (url, request) => {
      const answer = await network.fetch(url, request)
      const body: unknown = answer.ok && url.pathname === '/token' ? await answer.json() : undefined
      return body === undefined ? answer : Response.json({ ...(body as object), ...FORGED[what] })
    }
    const flow = stage.flow()
    const context = { ...stage.context, network: { ...network, fetch } }
    const turn = await flow.begin(context)
    if (!('step' in turn) || turn.step.ask !== 'enter-code') throw new Error('there is no code')
    await stage.enter(turn.step)
    stage.pass(turn.again ?? turn.step.until)
    await expect(flow.next(context, turn.memory, undefined)).rejects.toMatchObject({ code: 'bad-answer' })
    await stage.close()
  })
})

/** What takes the place of the one that was issued. */
const FORGED = {
  signature: { id_token: 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.AAAA' },
  nobody: { id_token: undefined },
}
