import { describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import type { Flow, FlowContext, FlowTurn } from '../model/flow.ts'
import { providerSchema } from '../model/provider.ts'
import { Secret } from '../model/secret.ts'
import { canary } from './canary.ts'
import { brokenPromises } from './check.ts'
import { flowChecks } from './flow-contract.ts'

const good = canary('good')
const wrong = canary('wrong')

const provider = providerSchema.parse({
  id: 'acme',
  name: 'Acme',
  category: 'other',
  hosts: ['api.acme.test'],
  registration: 'none',
  signIns: [{ flow: 'word', present: [{ header: 'x-key', field: 'word' }] }],
  revoke: { how: 'console' },
})

const asked: FlowTurn = {
  step: { ask: 'fill', fields: [{ name: 'word', label: 'Word', kind: 'secret' }] },
  memory: new Secret('asked'),
}

const askedAgain: FlowTurn = {
  ...asked,
  step: { ...asked.step, because: 'that was not the word' } as typeof asked.step,
}

const refused = () => new ValetkeyError('invalid-request', 'this was not asked')

/** The smallest flow that keeps every promise: it asks for one word, and knows the right one. */
const whole: Flow = {
  id: 'word',
  nature: 'pure',
  comesBack: false,
  begin: async () => asked,
  next: async (_, memory, answer) => {
    if (memory.reveal() !== 'asked') throw new ValetkeyError('flow-failed', 'this is no memory of ours')
    if (!answer) return asked
    const { word, ...others } = 'fields' in answer ? answer.fields : {}
    if (!word || Object.keys(others).length > 0 || word.revealBytes().length > 1000) throw refused()
    if (word.reveal() !== good) return askedAgain
    const credential = {
      worn: { word },
      kept: {},
      standing: true,
      expiresAt: null,
      scopes: [],
      tokenType: 'key',
    }
    return { done: { credential, profile: { subject: null, displayName: null, vars: {} } } }
  },
  revoke: async () => [{ what: 'Word', died: false, how: 'it cannot be unsaid' }],
}

const contextOf = (): FlowContext => ({
  provider,
  signIn: provider.signIns[0] as FlowContext['signIn'],
  catalogue: {
    list: () => [provider],
    find: () => provider,
    recognise: () => undefined,
    freeName: () => 'free',
    keep: () => Promise.reject(new Error('nothing is kept here')),
    isBuiltIn: () => true,
    authority: () => undefined,
    destination: () => {
      throw refused()
    },
  },
  network: { fetch: async () => new Response(), close: async () => {} },
  now: () => new Date(0),
  newId: () => 'one',
  known: {},
  insist: false,
  client: undefined,
  redirectUri: undefined,
  state: 'flow-one.word',
})

function broken(make: () => Flow): Promise<readonly string[]> {
  const answering = (word: string) => () => ({ fields: { word: new Secret(word) } })
  return brokenPromises(
    flowChecks(async () => ({
      flow: make,
      context: contextOf(),
      answer: answering(good),
      wrongAnswer: answering(wrong),
      secrets: [good, wrong],
      close: async () => {},
    })),
  )
}

const changedNext = (next: (...args: Parameters<Flow['next']>) => Promise<FlowTurn>) => () => ({
  ...whole,
  next,
})

describe('the flow contract', () => {
  it('is kept by a flow that is whole', async () => {
    expect(await broken(() => whole)).toEqual([])
  })

  it.each<[string, () => Flow, string]>([
    [
      'has no proper name',
      () => ({ ...whole, id: 'The Word' }),
      'says what it is called, and whether it outlives its process',
    ],
    [
      'gives its memory away in the clear',
      () => ({ ...whole, begin: async () => ({ ...asked, memory: 'asked' }) as unknown as FlowTurn }),
      'takes turns that are a step with its memory, or the end',
    ],
    ['never comes to an end', changedNext(async () => asked), 'is done when it is answered well'],
    [
      'remembers outside its memory',
      forgetful,
      'goes on in another instance, with nothing but the bytes of its memory',
    ],
    [
      'moves on when it is only looked at',
      changedNext(async (context, memory, answer) =>
        answer ? whole.next(context, memory, answer) : askedAgain,
      ),
      'shows the same step again when it is looked at without an answer',
    ],
    ['repeats a secret in a step', changedNext(chatty), 'holds no secret in a step'],
    [
      'takes any word',
      changedNext((context, memory, answer) =>
        whole.next(
          context,
          memory,
          answer && 'fields' in answer && lone(answer.fields)
            ? { fields: { word: new Secret(good) } }
            : answer,
        ),
      ),
      'asks again, and says why, when the provider does not accept the answer',
    ],
    [
      'overlooks what it did not ask',
      changedNext((context, memory, answer) => {
        const word = answer && 'fields' in answer ? answer.fields['word'] : undefined
        return whole.next(context, memory, word ? { fields: { word } } : answer)
      }),
      'refuses a field that nobody asked for',
    ],
    [
      'fails with a bare error over a foreign memory',
      changedNext(async (context, memory, answer) => {
        if (memory.reveal() !== 'asked') throw new TypeError('cannot read properties of null')
        return whole.next(context, memory, answer)
      }),
      'never throws a bare error over a memory that it did not write',
    ],
    [
      'lets an error of the network through',
      () => ({
        ...whole,
        begin: async (context) => context.network.fetch(new URL('https://api.acme.test/')).then(() => asked),
      }),
      'never throws a bare error, whatever the network does',
    ],
    [
      'says nothing of what it revoked',
      () => ({ ...whole, revoke: async () => [] }),
      'says piece by piece what became of a credential, and shows none of it',
    ],
    [
      'shows what it revoked',
      () => ({
        ...whole,
        revoke: async (_, { worn }) => [{ what: worn['word']?.reveal() ?? '', died: true, how: 'gone' }],
      }),
      'says piece by piece what became of a credential, and shows none of it',
    ],
    [
      'would ask again for what died',
      () => ({
        ...whole,
        revoke: async () => [{ what: 'Word', died: true, how: 'gone', again: {} }],
      }),
      'says piece by piece what became of a credential, and shows none of it',
    ],
    [
      'says of nobody that something died',
      () => ({ ...whole, revoke: async () => [{ what: 'Word', died: true, how: 'gone' }] }),
      'says that nothing died, and is quiet about the rest, where nobody can be reached',
    ],
    [
      'renews, and does not say of what',
      () => ({ ...whole, refresh: async (_, before) => before }),
      'says whether what it issued can be renewed, and keeps to that',
    ],
    [
      'renews without anything to renew by',
      () => renewing(async (_, before) => before),
      'says whether what it issued can be renewed, and keeps to that',
    ],
    [
      'forgets what it renews by',
      () => renewing(async (_, before) => ({ ...before, worn: WORN, kept: {} })),
      'renews what it issued, with nothing but what is kept, and loses nothing of it',
    ],
    [
      'asks twice when it goes wrong',
      () =>
        renewing(async ({ network }) => {
          const url = new URL('https://api.acme.test/')
          const ask = () => network.fetch(url, { method: 'POST' })
          const answer = await ask()
          if (answer.status !== 200) await ask()
          throw new ValetkeyError('bad-answer', 'it went wrong')
        }),
      'asks once for each renewal, and for no more when that goes wrong',
    ],
    [
      'takes a line that fails for the end',
      () =>
        renewing(async ({ network }, before) => {
          await network.fetch(new URL('https://api.acme.test/')).catch(() => {
            throw new ValetkeyError('access-revoked', 'it is over')
          })
          return before
        }),
      'never takes a line that fails for the end of a grant',
    ],
  ])('is failed by a flow that %s', async (_, make, promise) => {
    expect(await broken(make)).toContain(promise)
  })
})

const WORN = { word: new Secret(good) }

/** As the whole one, with something kept that a renewal is had for. */
function renewing(refresh: NonNullable<Flow['refresh']>): Flow {
  return {
    ...whole,
    next: async (...args) => {
      const turn = await whole.next(...args)
      if (!('done' in turn) || !('credential' in turn.done)) return turn
      const credential = { ...turn.done.credential, kept: { again: new Secret(wrong) } }
      return { done: { ...turn.done, credential } }
    },
    renews: ({ kept }) => 'again' in kept,
    refresh,
  }
}

function lone(fields: Readonly<Record<string, Secret>>): boolean {
  return Object.keys(fields).join() === 'word'
}

function forgetful(): Flow {
  let begun = false
  return {
    ...whole,
    begin: async () => {
      begun = true
      return asked
    },
    next: async (...args) => {
      if (!begun) throw new ValetkeyError('flow-not-found', 'no sign-in has begun here')
      return whole.next(...args)
    },
  }
}

async function chatty(...[context, memory, answer]: Parameters<Flow['next']>): Promise<FlowTurn> {
  const turn = await whole.next(context, memory, answer)
  const word = answer && 'fields' in answer ? answer.fields['word']?.reveal() : ''
  return 'step' in turn && turn.step.ask === 'fill'
    ? { ...turn, step: { ...turn.step, because: `${word} was not the word` } }
    : turn
}
