import assert from 'node:assert/strict'
import { isErrorCode, ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { Flow, FlowContext, FlowTurn, RevokedPiece } from '../model/flow.ts'
import type { Network } from '../model/network.ts'
import { Secret } from '../model/secret.ts'
import type { FlowAnswer, FlowStep } from '../model/words.ts'
import { type Check, tell } from './check.ts'

/** A flow with all that it needs to be played from its beginning to its end. */
export interface FlowStage {
  /** A new instance each time: a pure flow goes on in any of them. */
  flow(): Flow
  /** With nothing known beforehand. */
  readonly context: FlowContext
  /** What the person answers to a step so that the sign-in succeeds. */
  answer(step: FlowStep): FlowAnswer | Promise<FlowAnswer>
  /** An answer of the right form that the provider does not accept. */
  wrongAnswer(step: FlowStep): FlowAnswer | Promise<FlowAnswer>
  /** What the person does elsewhere, for a step that shows a code. */
  enter?(step: Extract<FlowStep, { ask: 'enter-code' }>): void | Promise<void>
  /** Lets time pass on the clock of the context; for a flow that looks by itself. */
  pass?(until: Date): void
  /** The secrets in those answers; no step may show them. */
  readonly secrets: readonly string[]
  close(): Promise<void>
}

const MOST_TURNS = 20
/** Steps that wait for an answer, and for nothing else. */
const ANSWERED: ReadonlySet<FlowStep['ask']> = new Set(['fill', 'visit'])
const FAR_TOO_LONG = 'x'.repeat(1024 * 1024)

/** What every flow promises to the broker and to the doors. */
export function flowContract(name: string, open: () => Promise<FlowStage>): void {
  tell(`the flow contract, kept by ${name}`, flowChecks(open))
}

export function flowChecks(open: () => Promise<FlowStage>): readonly Check[] {
  const on = (does: string, run: (stage: FlowStage) => Promise<void>): Check => ({
    name: does,
    run: async () => {
      const stage = await open()
      await run(stage).finally(() => stage.close())
    },
  })
  return [
    on('says what it is called, and whether it outlives its process', async ({ flow }) => {
      assert.match(flow().id, /^[a-z0-9][a-z0-9-]*$/)
      assert.ok(['pure', 'live'].includes(flow().nature))
      assert.equal(typeof flow().comesBack, 'boolean')
    }),
    on('takes turns that are a step with its memory, or the end', async (stage) => {
      for (const turn of await play(stage)) assertTurn(turn)
    }),
    on('is done when it is answered well', async (stage) => {
      const last = (await play(stage)).at(-1)
      assert.ok(last && 'done' in last)
    }),
    on('goes on in another instance, with nothing but the bytes of its memory', async (stage) => {
      if (stage.flow().nature === 'live') return
      const last = (await play(stage, { elsewhere: true })).at(-1)
      assert.ok(last && 'done' in last)
    }),
    on('shows the same step again when it is looked at without an answer', async (stage) => {
      const flow = stage.flow()
      const first = await flow.begin(stage.context)
      if (!('step' in first) || !ANSWERED.has(first.step.ask)) return
      const second = await flow.next(stage.context, first.memory, undefined)
      assert.deepEqual('step' in second ? second.step : undefined, first.step)
    }),
    on('holds no secret in a step', async (stage) => {
      for (const turn of [...(await play(stage)), ...(await playWrong(stage))]) {
        if ('step' in turn) assertSilent(JSON.stringify(turn.step), stage.secrets)
        if ('step' in turn) assertSilent(String(turn.memory), stage.secrets)
      }
    }),
    on('asks again, and says why, when the provider does not accept the answer', async (stage) => {
      const first = await stage.flow().begin(stage.context)
      if (!('step' in first) || first.step.ask !== 'fill') return
      const last = (await playWrong(stage)).at(-1)
      assert.ok(last && 'step' in last && last.step.ask === 'fill', 'it went on without being accepted')
      assert.ok(last.step.because, 'it does not say why it asks again')
    }),
    on(
      'sends the person only to https, or to this computer, and only where it can come back',
      async (stage) => {
        for (const turn of await play(stage)) {
          if (!('step' in turn) || turn.step.ask !== 'visit') continue
          assert.ok(stage.flow().comesBack, 'it does not say that it needs an address to come back to')
          assertReachable(turn.step.url)
        }
      },
    ),
    on('refuses what the browser brings back when it is not what was asked', async (stage) => {
      const flow = stage.flow()
      const first = await flow.begin(stage.context)
      if (!('step' in first) || first.step.ask !== 'visit') return
      await assertRefused(flow.next(stage.context, first.memory, { fields: {} }))
      const wrong = await stage.wrongAnswer(first.step)
      await assert.rejects(flow.next(stage.context, first.memory, wrong), ValetkeyError)
    }),
    on('shows a code with where it is entered, until when, and when it looks next', (stage) =>
      whileLooking(stage, async (_, { step, again }) => {
        assert.ok(step.ask === 'enter-code' && step.code !== '')
        assertReachable(step.at)
        if (step.whole) assertReachable(step.whole)
        assert.ok(
          again && again <= step.until && again > stage.context.now(),
          'it does not say when it looks',
        )
      }),
    ),
    on('looks no sooner than it said, however often it is taken up', (stage) =>
      whileLooking(stage, async ({ posts, network }, { memory, again, step }, flow) => {
        stage.pass?.(new Date((again?.getTime() ?? 0) - 1))
        for (let n = 0; n < 3; n += 1) {
          const turn = await flow.next({ ...stage.context, network }, memory, undefined)
          assert.deepEqual('step' in turn && [turn.step, turn.again], [step, again])
        }
        assert.equal(posts(), 0, `it asked ${posts()} times`)
      }),
    ),
    on('asks once each time that it looks, and then counts from the end of the answer', (stage) =>
      whileLooking(stage, async ({ posts, network }, { memory, again = new Date() }, flow) => {
        stage.pass?.(again)
        const turn = await flow.next({ ...stage.context, network }, memory, undefined)
        assert.equal(posts(), 1, `it asked ${posts()} times`)
        assert.ok('again' in turn && turn.again && turn.again > stage.context.now())
      }),
    ),
    on('waits longer each time that nobody can be reached, and goes on', (stage) =>
      whileLooking(stage, async (_, { memory, again = new Date(), step }, flow) => {
        const fetch = () => Promise.reject(new ValetkeyError('connect-timeout', 'nobody picked up'))
        const context = { ...stage.context, network: { fetch, close: async () => {} } }
        const waits: number[] = []
        let held = { memory, again }
        for (let n = 0; n < 3; n += 1) {
          stage.pass?.(held.again)
          const turn = await flow.next(context, held.memory, undefined)
          assert.ok('step' in turn && turn.again, 'it ended over a line that failed')
          assert.equal(turn.step.ask, step.ask)
          waits.push(turn.again.getTime() - context.now().getTime())
          held = { memory: turn.memory, again: turn.again }
        }
        assert.ok(
          waits.every((wait, i) => i === 0 || wait > (waits[i - 1] ?? 0)),
          `it waited ${waits}`,
        )
      }),
    ),
    on('asks nobody any more once its code is too old', (stage) =>
      whileLooking(stage, async ({ posts, network }, { memory, step }, flow) => {
        stage.pass?.('until' in step ? step.until : new Date())
        await assertCode(flow.next({ ...stage.context, network }, memory, undefined), ['flow-expired'])
        assert.equal(posts(), 0, `it asked ${posts()} times`)
      }),
    ),
    on('refuses an answer where nothing is asked', (stage) =>
      whileLooking(stage, (_, { memory }, flow) =>
        assertRefused(flow.next(stage.context, memory, { fields: {} })),
      ),
    ),
    on('refuses a field that nobody asked for', (stage) =>
      refuses(stage, (good) => ({ ...good, uninvited: 'x' })),
    ),
    on('refuses a field named like a part of every object', (stage) =>
      refuses(stage, (good) => ({ ...good, constructor: 'x' })),
    ),
    on('refuses an answer in which everything is missing', (stage) => refuses(stage, () => ({}))),
    on('refuses a field that is far too long', (stage) =>
      refuses(stage, (good) => Object.fromEntries(Object.keys(good).map((name) => [name, FAR_TOO_LONG]))),
    ),
    on('refuses an answer of another kind than was asked', async (stage) => {
      const begun = await beginFill(stage)
      if (begun) await assertRefused(begun.next({ callback: new Secret('https://elsewhere.test/?code=x') }))
    }),
    on('never throws a bare error, whatever the network does', async (stage) => {
      const network = { fetch: () => Promise.reject(new TypeError('bare')), close: async () => {} }
      const [flow, context] = [stage.flow(), { ...stage.context, network }]
      await wellSpoken(play({ ...stage, flow: () => flow, context }))
    }),
    on('never throws a bare error over a memory that it did not write', async (stage) => {
      for (const bytes of ['', 'null', '{', '[]', '{"values":{"a":1}}', '{"__proto__":{}}'])
        await wellSpoken(stage.flow().next(stage.context, new Secret(bytes), { fields: {} }))
    }),
    on('says whether what it issued can be renewed, and keeps to that', async (stage) => {
      const { renews, refresh } = stage.flow()
      assert.equal(renews === undefined, refresh === undefined, 'it says so, or renews, and not both')
      const before = await issued(stage)
      if (!before || !renews || !refresh) return
      const bare = { ...before, kept: {} }
      if (renews(before)) await refresh(stage.context, before)
      assert.equal(renews(bare), false, 'it would renew what nothing is kept for')
      await assertCode(refresh(stage.context, bare), ['refresh-not-available'])
    }),
    on('renews what it issued, with nothing but what is kept, and loses nothing of it', async (stage) => {
      const { renews, refresh } = stage.flow()
      const before = await issued(stage)
      if (!before || !refresh || !renews?.(before)) return
      const once = await refresh(stage.context, { ...before, worn: {} })
      const twice = await refresh(stage.context, once)
      for (const { worn, kept, scopes } of [once, twice]) {
        assert.deepEqual(Object.keys(worn), Object.keys(before.worn))
        for (const name of Object.keys(before.kept)) assert.ok(kept[name], `it lost ${name}`)
        assert.deepEqual(scopes, before.scopes)
      }
    }),
    on('asks once for each renewal, and for no more when that goes wrong', async (stage) => {
      const { renews, refresh } = stage.flow()
      const before = await issued(stage)
      if (!before || !refresh || !renews?.(before)) return
      for (const [status, body] of TROUBLE) {
        const { posts, network } = counting(stage.context.network, () => new Response(body, { status }))
        const outcome = refresh({ ...stage.context, network }, before)
        await assert.rejects(outcome, (error) => error instanceof ValetkeyError && !OVER.has(error.code))
        assert.equal(posts(), 1, `it asked ${posts()} times over a ${status}`)
      }
      const { posts, network } = counting(stage.context.network)
      await refresh({ ...stage.context, network }, before)
      assert.equal(posts(), 1, `it asked ${posts()} times`)
    }),
    on('never takes a line that fails for the end of a grant', async (stage) => {
      const { renews, refresh } = stage.flow()
      const before = await issued(stage)
      if (!before || !refresh || !renews?.(before)) return
      for (const code of ['network-error', 'answer-lost', 'answer-timeout'] as const) {
        const fetch = () => Promise.reject(new ValetkeyError(code, 'the line failed'))
        const outcome = refresh({ ...stage.context, network: { fetch, close: async () => {} } }, before)
        await assert.rejects(outcome, (error) => error instanceof ValetkeyError && error.retryable)
      }
    }),
    on('says piece by piece what became of a credential, and shows none of it', async (stage) => {
      const before = await issued(stage)
      if (!before) return
      const pieces = await stage.flow().revoke(stage.context, before)
      assert.ok(pieces.length > 0, 'it says nothing')
      for (const piece of pieces) assertPiece(piece)
      assertSilent(JSON.stringify(pieces), stage.secrets)
    }),
    on('says that nothing died, and is quiet about the rest, where nobody can be reached', async (stage) => {
      const before = await issued(stage)
      if (!before) return
      const network = { fetch: () => Promise.reject(new TypeError('bare')), close: async () => {} }
      for (const piece of await stage.flow().revoke({ ...stage.context, network }, before)) {
        assertPiece(piece)
        assert.equal(piece.died, false)
      }
    }),
  ]
}

/** Answers that end no grant, whatever they say. */
const TROUBLE = [
  [503, '{"error":"invalid_grant"}'],
  [429, '{"error":"invalid_grant"}'],
  [400, 'invalid_grant'],
  [307, ''],
  [200, '<html>'],
] as const

/** Codes by which a renewal is over for more than this time. */
const OVER: ReadonlySet<string> = new Set(['access-revoked', 'provider-not-configured', 'refused-by-policy'])

/** What a sign-in that is answered well issues; undefined for one that yields an identity. */
async function issued(stage: FlowStage): Promise<Credential | undefined> {
  const last = (await play(stage)).at(-1)
  return last && 'done' in last && 'credential' in last.done ? last.done.credential : undefined
}

/**
 * Counts what is posted to each place, of which the most counts: a renewal may take several servers, each once.
 * Answers it if it is told how; all else goes its way.
 */
function counting(behind: Network, answer?: () => Response) {
  const posted = new Map<string, number>()
  const fetch: Network['fetch'] = async (url, request) => {
    const isPost = request?.method === 'POST'
    if (isPost) posted.set(url.href, (posted.get(url.href) ?? 0) + 1)
    return isPost && answer ? answer() : behind.fetch(url, request)
  }
  return { posts: () => Math.max(0, ...posted.values()), network: { ...behind, fetch } }
}

function assertPiece({ what, how, died, again }: RevokedPiece): void {
  assert.ok(what && how && typeof died === 'boolean')
  assert.ok(!died || again === undefined, 'it would ask again for what died')
}

async function assertCode(work: Promise<unknown>, codes: readonly string[]): Promise<void> {
  await assert.rejects(work, (error) => error instanceof ValetkeyError && codes.includes(error.code))
}

/** Every turn of a sign-in that is answered well. */
async function play(stage: FlowStage, { elsewhere = false } = {}): Promise<readonly FlowTurn[]> {
  const flow = stage.flow()
  const turns = [await flow.begin(stage.context)]
  for (;;) {
    const turn = turns.at(-1)
    if (!turn || 'done' in turn || turns.length > MOST_TURNS) return turns
    const memory = elsewhere ? new Secret(turn.memory.revealBytes()) : turn.memory
    const on = elsewhere ? stage.flow() : flow
    turns.push(await on.next(stage.context, memory, await answered(stage, turn)))
  }
}

/** What looks by itself is looked at when it said so, after the person did their part elsewhere. */
async function answered(stage: FlowStage, { step, again }: Asking): Promise<FlowAnswer | undefined> {
  if (step.ask !== 'enter-code' || again === undefined) return stage.answer(step)
  await stage.enter?.(step)
  stage.pass?.(again)
  return undefined
}

type Asking = Extract<FlowTurn, { step: FlowStep }>

/** Calls back with the first turn of a flow that looks by itself, and with what is asked of its provider. */
async function whileLooking(
  stage: FlowStage,
  work: (asked: ReturnType<typeof counting>, turn: Asking, flow: Flow) => Promise<void>,
): Promise<void> {
  const flow = stage.flow()
  const first = await flow.begin(stage.context)
  if (!('step' in first) || first.step.ask !== 'enter-code') return
  await work(counting(stage.context.network), first, flow)
}

/** The first turn, and the one after an answer that is not accepted. */
async function playWrong(stage: FlowStage): Promise<readonly FlowTurn[]> {
  const flow = stage.flow()
  const first = await flow.begin(stage.context)
  if (!('step' in first)) return [first]
  const wrong = await stage.wrongAnswer(first.step)
  const second = await flow.next(stage.context, first.memory, wrong).catch(refusalOnly)
  return second === undefined ? [first] : [first, second]
}

/** A flow that was answered from a browser has nothing to ask again, and refuses. */
function refusalOnly(error: unknown): undefined {
  assert.ok(error instanceof ValetkeyError, `a bare error: ${String(error)}`)
}

async function beginFill(stage: FlowStage) {
  const flow = stage.flow()
  const first = await flow.begin(stage.context)
  if (!('step' in first) || first.step.ask !== 'fill') return undefined
  const { step, memory } = first
  return { step, next: (answer: FlowAnswer) => flow.next(stage.context, memory, answer) }
}

type Plain = Readonly<Record<string, string>>

async function refuses(stage: FlowStage, change: (good: Plain) => Plain): Promise<void> {
  const begun = await beginFill(stage)
  if (!begun) return
  const good = await stage.answer(begun.step)
  const fields = 'fields' in good ? good.fields : {}
  const plain = Object.fromEntries(Object.entries(fields).map(([name, secret]) => [name, secret.reveal()]))
  const changed = Object.entries(change(plain)).map(([name, value]) => [name, new Secret(value)] as const)
  await assertRefused(begun.next({ fields: Object.fromEntries(changed) }))
}

function assertRefused(turn: Promise<FlowTurn>): Promise<void> {
  return assertCode(turn, ['invalid-request'])
}

async function wellSpoken(work: Promise<unknown>): Promise<void> {
  await work.catch((error: unknown) => {
    assert.ok(error instanceof ValetkeyError && isErrorCode(error.code), `a bare error: ${String(error)}`)
  })
}

function assertTurn(turn: FlowTurn): void {
  if ('done' in turn) {
    assert.ok('credential' in turn.done || 'identity' in turn.done)
    return
  }
  assert.ok(['visit', 'enter-code', 'fill', 'wait', 'hand-over'].includes(turn.step.ask))
  assert.ok(turn.memory instanceof Secret)
}

function assertReachable({ protocol, hostname }: URL): void {
  const isHere = ['127.0.0.1', '[::1]'].includes(hostname)
  assert.ok(protocol === 'https:' || (protocol === 'http:' && isHere), `${protocol}//${hostname}`)
}

function assertSilent(shown: string, secrets: readonly string[]): void {
  for (const secret of secrets) assert.ok(!shown.includes(secret), 'a secret is shown')
}
