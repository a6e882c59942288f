import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { FlowContext } from '../model/flow.ts'
import { Secret } from '../model/secret.ts'
import { openNetwork } from '../network/network.ts'
import { openCatalogue } from '../providers/catalogue.ts'
import { canary } from '../testing/canary.ts'
import { flowContract } from '../testing/flow-contract.ts'
import { oauthStage, signInBy, visitOf } from '../testing/oauth-stage.ts'
import {
  type ListeningStandIn,
  type StandInAnswer,
  type StandInRequest,
  standIn,
} from '../testing/stand-in.ts'
import { keyMintingFlow } from './key-minting.ts'

// A provider on loopback that makes a key for whoever shows the verifier of a challenge, once.

interface Made {
  readonly challenge: string
  readonly callback: URL
}

type Script = (honest: StandInAnswer) => StandInAnswer

async function keyMaker() {
  const codes = new Map<string, Made>()
  const keys: string[] = []
  let script: Script = (honest) => honest
  const exchange = async ({ headers, body }: StandInRequest): Promise<StandInAnswer> => {
    if (headers['content-type'] !== 'application/json') return { status: 400, body: { error: 'not JSON' } }
    const { code, code_verifier: verifier, code_challenge_method: method } = JSON.parse(String(await body))
    const made = codes.get(code)
    codes.delete(code)
    const challenge = createHash('sha256').update(String(verifier)).digest('base64url')
    if (method !== 'S256' || made?.challenge !== challenge)
      return script({ status: 403, body: { error: { message: 'Invalid code or code_verifier', code: 403 } } })
    keys.push(canary('minted'))
    return script({ body: { key: keys.at(-1), user_id: 'user_2abc' } })
  }
  const there: ListeningStandIn = await standIn({ 'POST /api/v1/auth/keys': exchange }).listen()
  /** The browser: a person agrees, and is sent to the callback as it was given, with a code beside what it holds. */
  const consent = async (url: URL): Promise<URL> => {
    const { searchParams: asked } = url
    expect(asked.get('code_challenge_method')).toBe('S256')
    const callback = new URL(asked.get('callback_url') ?? '')
    const code = canary('code')
    codes.set(code, { challenge: asked.get('code_challenge') ?? '', callback })
    callback.searchParams.set('code', code)
    return callback
  }
  return {
    there,
    keys,
    consent,
    play: (next: Script) => {
      script = next
    },
  }
}

let maker: Awaited<ReturnType<typeof keyMaker>>

beforeEach(async () => {
  maker = await keyMaker()
})

afterEach(() => maker.there.close())

function contextAt({ there: { origin } }: Pick<typeof maker, 'there'>): FlowContext {
  const context = oauthStage(
    { openCatalogue, openNetwork },
    {
      oauth: {
        authorize: `${origin}/auth`,
        token: `${origin}/api/v1/auth/keys`,
        requests: 'json',
        shape: { accessToken: '/key' },
      },
      scopes: [],
      signIn: { flow: 'pkce-key', whose: { subject: '/user_id' }, console: 'https://acme.test/keys' },
      provider: { revoke: { how: 'console' }, registration: 'none' },
      allow: [origin],
    },
  )
  return { ...context, client: undefined }
}

const flow = keyMintingFlow
const outcomeOf = (turn: Promise<unknown>) =>
  turn.then(
    () => 'done',
    ({ code }) => code,
  )

flowContract('pkce-key, at a provider that makes keys', async () => {
  const here = await keyMaker()
  return {
    flow: () => keyMintingFlow,
    context: contextAt(here),
    answer: async (step) => {
      if (step.ask !== 'visit') throw new Error('nobody is sent off')
      return { callback: new Secret((await here.consent(step.url)).href) }
    },
    wrongAnswer: async (step) => {
      if (step.ask !== 'visit') throw new Error('nobody is sent off')
      const back = await here.consent(step.url)
      back.searchParams.set('state', canary('other'))
      return { callback: new Secret(back.href) }
    },
    secrets: [],
    close: () => here.there.close(),
  }
})

describe('a key that a provider makes for whoever began', () => {
  it('is had with the verifier alone, and stands like one that a person made', async () => {
    const context = contextAt(maker)
    const { credential, profile } = await signInBy(flow, context, maker.consent)
    expect(credential).toMatchObject({ standing: true, expiresAt: null, kept: {}, tokenType: 'Bearer' })
    expect(credential.worn['accessToken']?.reveal()).toBe(maker.keys[0])
    expect(profile.subject).toBe('user_2abc')
    expect(flow.renews).toBeUndefined()
    expect(await flow.revoke(context, credential)).toEqual([
      { what: 'key', died: false, how: 'only you can end it, at https://acme.test/keys' },
    ])
  })

  it('[security 1.3] sends the state along inside the address to come back to, and judges it there', async () => {
    const context = contextAt(maker)
    const { url, memory } = visitOf(await flow.begin(context))
    expect([...url.searchParams.keys()].sort()).toEqual([
      'callback_url',
      'code_challenge',
      'code_challenge_method',
    ])
    const back = await maker.consent(url)
    expect(back.searchParams.get('state')).toBe(context.state)
    const bytes = () => new Secret(memory.reveal())
    const answers = {
      otherState: (it: URL) => it.searchParams.set('state', canary('other')),
      noState: (it: URL) => it.searchParams.delete('state'),
      twoStates: (it: URL) => it.searchParams.append('state', canary('other')),
      token: (it: URL) => it.searchParams.set('access_token', canary('token')),
    }
    for (const change of Object.values(answers)) {
      const wrong = new URL(back)
      change(wrong)
      expect(await outcomeOf(flow.next(context, bytes(), { callback: new Secret(wrong.href) }))).toBe(
        'invalid-state',
      )
    }
    expect(maker.there.requests).toEqual([])
    expect(await outcomeOf(flow.next(context, bytes(), { callback: new Secret(back.href) }))).toBe('done')
  })

  it('is not had with a code of somebody else’s sign-in, nor twice with the same', async () => {
    const context = contextAt(maker)
    const [mine, other] = [visitOf(await flow.begin(context)), visitOf(await flow.begin(context))]
    const code = (await maker.consent(other.url)).searchParams.get('code') ?? ''
    const mixed = await maker.consent(mine.url)
    mixed.searchParams.set('code', code)
    expect(await outcomeOf(flow.next(context, mine.memory, { callback: new Secret(mixed.href) }))).toBe(
      'invalid-code',
    )
    expect(maker.keys).toEqual([])
    expect(mine.memory.reveal()).not.toContain('verifier')
  })

  it('does not come back after ten minutes', async () => {
    const context = contextAt(maker)
    const { url, memory } = visitOf(await flow.begin(context))
    const back = await maker.consent(url)
    const later = { ...context, now: () => new Date(Date.now() + 11 * 60_000) }
    expect(await outcomeOf(flow.next(later, memory, { callback: new Secret(back.href) }))).toBe(
      'flow-expired',
    )
  })

  it.each([
    ['opaque refusals', { status: 400, body: 'no' }, 'invalid-code'],
    [
      'a page in the place of an answer',
      { headers: { 'content-type': 'text/html' }, body: '<html>' },
      'bad-answer',
    ],
    ['an answer without a key', { body: { user_id: 'user_2abc' } }, 'bad-answer'],
    ['a key that cannot be worn', { body: { key: 'two\nlines' } }, 'bad-answer'],
    ['trouble of its own', { status: 500, body: '<html>' }, 'server-error'],
    ['a redirect', { status: 302, headers: { location: 'https://evil.test' } }, 'bad-answer'],
  ] satisfies [string, StandInAnswer, string][])('is not had of %s', async (_, answer, code) => {
    maker.play(() => answer)
    expect(await outcomeOf(signInBy(flow, contextAt(maker), maker.consent))).toBe(code)
  })
})
