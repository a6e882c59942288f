import { PassThrough } from 'node:stream'
import type { Account, Desk, FlowSession, KeeperDesk, Lent, ProviderCard } from '#client'
import type { CliHands } from './hands.ts'
import { runCli } from './main.ts'
import type { Prompts } from './prompts.ts'

// A terminal to play on, and a desk that says what a test wants it to say.

export const NOW = new Date('2027-03-01T12:00:00Z')
const LATER = '2027-03-01T12:10:00.000Z'

export const OPENAI: ProviderCard = {
  id: 'openai',
  name: 'OpenAI',
  category: 'ai',
  aliases: [],
  flows: ['api-key'],
  ways: [
    {
      flow: 'api-key',
      label: 'an API key',
      called: [],
      scopes: [],
      optionalScopes: [],
      notice: null,
      tried: 'by-itself',
    },
  ],
  hosts: ['api.openai.com'],
  needs: 'nothing',
  ownClient: null,
  programs: null,
  from: 'built-in',
}

export const ACCOUNT: Account = {
  id: 'account-1',
  providerId: 'openai',
  userId: 'person:owner',
  displayName: 'Ada',
  bucket: 'default',
  subject: 'user-1',
  scopes: [],
  status: 'connected',
  reason: null,
  warnings: [],
  missingScopes: [],
  forwardOnly: true,
  connectedAt: '2027-02-26T12:00:00.000Z',
  tokenExpiresAt: null,
  rotateAt: null,
  diesAt: null,
  lastUsedAt: '2027-03-01T11:48:00.000Z',
}

export function session(more: Partial<FlowSession> = {}): FlowSession {
  return {
    id: 'flow-1',
    provider: 'openai',
    bucket: 'default',
    flow: 'api-key',
    state: 'asking',
    step: { ask: 'fill', fields: [{ name: 'key', label: 'API key', kind: 'secret' }] },
    account: null,
    receipt: null,
    failure: null,
    passedOver: [],
    instead: null,
    notice: null,
    expiresAt: LATER,
    ...more,
  }
}

export const DONE = session({ state: 'done', step: null, account: ACCOUNT })

export function lent(token: string, fields: Record<string, string> = { key: token }): Lent {
  return {
    lease: {
      id: 'lease-1',
      accountId: 'account-1',
      address: 'openai',
      caller: 'person:owner',
      verb: 'lend',
      openedAt: NOW.toISOString(),
      until: LATER,
      endsBy: 'expiry',
      endedAt: null,
      lastUsedAt: NOW.toISOString(),
      count: 1,
      purpose: null,
      scopes: [],
      audience: null,
      repositories: [],
    },
    token,
    fields,
    tokenType: 'Bearer',
    expiresAt: LATER,
    scopes: [],
  }
}

export interface Play {
  readonly desk?: Partial<Desk>
  readonly keeper?: Partial<KeeperDesk>
  readonly stdin?: string
  readonly prompts?: Partial<Prompts>
  readonly hands?: Partial<CliHands>
  readonly env?: Record<string, string>
}

export interface Played {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs one command line. With prompts a person sits there, without them nobody does. */
export async function play(argv: readonly string[], scene: Play = {}): Promise<Played> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  if (scene.stdin !== undefined) stdin.end(scene.stdin)
  const exit = await runCli({
    argv,
    io: {
      stdin,
      stdout,
      stderr,
      interactive: scene.prompts !== undefined,
      colour: false,
      prompts: all<Prompts>(scene.prompts ?? {}),
    },
    env: scene.env ?? {},
    version: '0.1.0',
    now: () => NOW,
    reach: async () => ({ desk: all<Desk>(scene.desk ?? {}), keeper: all<KeeperDesk>(scene.keeper ?? {}) }),
    serve: async () => {},
    bridge: async () => {},
    serveTools: async () => {},
    demo: () => Promise.reject(new Error('no demo is played here')),
    openLink: async () => 'http://127.0.0.1:8200/#code',
    openInBrowser: async () => {},
    ...scene.hands,
  })
  return { exit, stdout: said(stdout), stderr: said(stderr) }
}

/** Answers always the same, and writes down what it was asked. */
export function recording<A, R>(into: A[], answer: R): (asked: A) => Promise<R> {
  return async (asked) => {
    into.push(asked)
    return answer
  }
}

function said(stream: PassThrough): string {
  return String(stream.read() ?? '')
}

/** What a test did not foresee fails the test instead of passing unseen. */
function all<T extends object>(some: Partial<T>): T {
  return new Proxy(some, {
    get(target, name) {
      if (name === 'then' || name in target) return Reflect.get(target, name)
      throw new Error(`the test did not expect ${String(name)}`)
    },
  }) as T
}
