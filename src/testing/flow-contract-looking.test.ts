import { describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import type { Flow, FlowContext, FlowTurn } from '../model/flow.ts'
import { Secret } from '../model/secret.ts'
import { brokenPromises } from './check.ts'
import { flowChecks } from './flow-contract.ts'

interface Held {
  readonly at: number
  readonly wait: number
}

const UNTIL = 60_000
const URL_ASKED = new URL('https://api.acme.test/')

function waiting({ now }: FlowContext, wait: number): Extract<FlowTurn, { step: unknown }> {
  const at = now().getTime() + wait
  return turnAt({ at, wait })
}

function turnAt(held: Held): Extract<FlowTurn, { step: unknown }> {
  const step = { ask: 'enter-code', code: 'ABCD', at: URL_ASKED, until: new Date(UNTIL) } as const
  return { step, memory: new Secret(JSON.stringify(held)), again: new Date(Math.min(held.at, UNTIL)) }
}

function recall(memory: Secret): Held {
  try {
    const { at, wait } = JSON.parse(memory.reveal())
    if (typeof at === 'number' && typeof wait === 'number') return { at, wait }
  } catch {}
  throw new ValetkeyError('flow-failed', 'this is no memory of ours')
}

const DONE: FlowTurn = {
  done: {
    credential: {
      worn: { word: new Secret('yes') },
      kept: {},
      standing: true,
      expiresAt: null,
      scopes: [],
      tokenType: 'key',
    },
    profile: { subject: null, displayName: null, vars: {} },
  },
}

const refused = () => new ValetkeyError('invalid-request', 'nothing is asked here')

/** The smallest flow that looks by itself and keeps every promise. */
const whole: Flow = {
  id: 'looking',
  nature: 'pure',
  comesBack: false,
  begin: async (context) => {
    await reached(context)
    return waiting(context, 1000)
  },
  next: async (context, memory, answer) => {
    const held = recall(memory)
    if (answer) throw refused()
    if (context.now().getTime() >= UNTIL) throw new ValetkeyError('flow-expired', 'too late')
    if (context.now().getTime() < held.at) return turnAt(held)
    return asking(context, held)
  },
  revoke: async () => [{ what: 'Word', died: false, how: 'it cannot be unsaid' }],
}

async function asking(context: FlowContext, { wait }: Held): Promise<FlowTurn> {
  const yes = await reached(context).catch(() => undefined)
  if (yes === undefined) return waiting(context, wait * 2)
  return yes ? DONE : waiting(context, 1000)
}

async function reached({ network }: FlowContext): Promise<boolean> {
  const answer = await network.fetch(URL_ASKED, { method: 'POST' }).catch(() => {
    throw new ValetkeyError('network-error', 'nobody was reached')
  })
  return (await answer.text()) === 'yes'
}

function broken(change: Partial<Flow>): Promise<readonly string[]> {
  return brokenPromises(
    flowChecks(async () => {
      let time = 0
      let isEntered = false
      const fetch = async () => new Response(isEntered ? 'yes' : 'no')
      return {
        flow: () => ({ ...whole, ...change }),
        context: {
          now: () => new Date(time),
          network: { fetch, close: async () => {} },
        } as unknown as FlowContext,
        answer: () => ({ fields: {} }),
        wrongAnswer: () => ({ fields: {} }),
        enter: () => {
          isEntered = true
        },
        pass: (until) => {
          time = Math.max(time, until.getTime())
        },
        secrets: [],
        close: async () => {},
      }
    }),
  )
}

/** As the whole one, with another judgement of whether and how it asks. */
const changed = (next: (context: FlowContext, held: Held) => Promise<FlowTurn>): Partial<Flow> => ({
  next: async (context, memory, answer) => {
    if (answer) throw refused()
    return next(context, recall(memory))
  },
})

describe('the flow contract', () => {
  it('is kept by a flow that looks by itself', async () => {
    expect(await broken({})).toEqual([])
  })

  it.each<[string, Partial<Flow>, string]>([
    [
      'looks whenever it is taken up',
      changed(asking),
      'looks no sooner than it said, however often it is taken up',
    ],
    [
      'does not say when it looks',
      { begin: async (context) => ({ ...waiting(context, 1000), again: new Date(0) }) },
      'shows a code with where it is entered, until when, and when it looks next',
    ],
    [
      'asks twice at once',
      changed(async (context, held) => {
        await reached(context)
        return asking(context, held)
      }),
      'asks once each time that it looks, and then counts from the end of the answer',
    ],
    [
      'waits no longer for a line that fails',
      changed((context, held) => asking(context, { ...held, wait: 500 })),
      'waits longer each time that nobody can be reached, and goes on',
    ],
    [
      'gives up over a line that fails',
      changed(async (context) => ((await reached(context)) ? DONE : waiting(context, 1000))),
      'waits longer each time that nobody can be reached, and goes on',
    ],
    ['looks for ever', changed(asking), 'asks nobody any more once its code is too old'],
    [
      'takes anything for an answer',
      { next: (context, memory) => whole.next(context, memory, undefined) },
      'refuses an answer where nothing is asked',
    ],
  ])('is failed by a flow that %s', async (_, change, promise) => {
    expect(await broken(change)).toContain(promise)
  })
})
