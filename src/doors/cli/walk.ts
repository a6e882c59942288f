import { setTimeout as delay } from 'node:timers/promises'
import { type Desk, type Field, type FlowSession, type FlowStep, isErrorCode, ValetkeyError } from '#client'
import { codeInWords } from './code-in-words.ts'
import { fromFailure, tellRefusal, usage } from './failure.ts'
import type { Stop } from './interrupt.ts'
import type { Prompts, Question } from './prompts.ts'
import type { Run } from './run.ts'
import { fill, type Supply } from './supply.ts'

const LOOK_AGAIN_MS = 1000
const GOODBYE_MS = 3000

interface Walk {
  readonly run: Run
  readonly desk: Desk
  readonly stop: Stop
  /** The command as it was typed, for a hint. */
  readonly command: string
  /** It was begun at another door, and goes on there when this one is left. */
  readonly isTakenUp?: true
}

/**
 * Walks a sign-in to its end, one step after the other. Whatever ends it early, a session that was begun here
 * is cancelled: nothing of it stays behind.
 */
export async function walk(
  way: Walk,
  begin: () => Promise<FlowSession>,
  supply: Supply,
): Promise<FlowSession> {
  const begun = begin()
  try {
    let session = await way.stop.or(begun)
    let given: Supply | undefined = supply
    await tellWay(way, session)
    while (session.state === 'asking') {
      const used = session.step?.ask === 'fill'
      session = await way.stop.or(advance(way, session, given))
      if (used) given = undefined
    }
    return finished(session, way)
  } catch (error) {
    if (!way.isTakenUp) await leave(way, begun)
    throw error
  }
}

/** What is to be known of the way that is gone, and why those before it are not: for whoever sits here. */
async function tellWay({ run: { terminal } }: Walk, { notice, passedOver }: FlowSession): Promise<void> {
  if (notice !== null) await terminal.note(`note: ${notice}`)
  if (!terminal.interactive) return
  for (const { labels, why, hint } of notBy(passedOver))
    await terminal.note(`not by ${labels}: ${why}`, ...(hint === null ? [] : [`  for that: ${hint}`]))
}

/** What stands against several ways is said once. */
function notBy(passedOver: FlowSession['passedOver']) {
  return [...Map.groupBy(passedOver, (one) => one.why)].map(([why, ways]) => ({
    why,
    labels: ways.map(({ label }) => label).join(' or '),
    hint: ways[0]?.hint ?? null,
  }))
}

/** What was given beforehand is used for the first form; any later one is for the person. */
function advance(way: Walk, session: FlowSession, given: Supply | undefined): Promise<FlowSession> {
  const { step } = session
  switch (step?.ask) {
    case 'fill':
      return answerFields(way, session, step, given)
    case 'visit':
      return visit(way, session, step)
    case 'enter-code':
      return enterCode(way, session, step)
    case 'hand-over':
      return handOver(way, session, step)
    case 'wait':
    case undefined:
      return lookAgain(way, session)
  }
}

type Step<Ask extends FlowStep['ask']> = Extract<FlowStep, { ask: Ask }>

async function answerFields(
  way: Walk,
  { id, passedOver }: FlowSession,
  step: Step<'fill'>,
  given: Supply | undefined,
): Promise<FlowSession> {
  const { values, missing } = given ? fill(step.fields, given) : { values: {}, missing: step.fields }
  const entered = way.run.terminal.interactive ? await enterAll(way, step, missing) : {}
  if (!way.run.terminal.interactive) refuseMissing(way, { step, missing, passedOver }, given)
  return way.desk.answer(id, { fields: { ...values, ...entered } })
}

async function enterAll(
  way: Walk,
  step: Step<'fill'>,
  missing: readonly Field[],
): Promise<Record<string, string>> {
  const { terminal } = way.run
  const entered: Record<string, string> = {}
  if (step.because) await terminal.note(step.because)
  if (step.at && missing.length > 0) await terminal.note(`you find it at ${step.at}`)
  for (const field of missing) {
    const value = await enter(way, field)
    if (value !== '') entered[field.name] = value
  }
  return entered
}

const AS_USUAL = 'as usual'

async function choose(prompts: Prompts, question: Question, choices: readonly string[]): Promise<string> {
  if (!question.optional) return prompts.choice({ ...question, choices })
  const chosen = await prompts.choice({ ...question, choices: [AS_USUAL, ...choices] })
  return chosen === AS_USUAL ? '' : chosen
}

/** Nobody sits here who could be asked, so what is missing is told at once. */
function refuseMissing(
  { command }: Walk,
  {
    step,
    missing,
    passedOver,
  }: Pick<FlowSession, 'passedOver'> & {
    readonly step: Step<'fill'>
    readonly missing: readonly Field[]
  },
  given: Supply | undefined,
): void {
  if (given === undefined && step.because !== undefined) throw notAccepted(command, step)
  const wanted = missing.filter((field) => !field.optional)
  if (wanted.length === 0) return
  const labels = wanted.map((field) => field.label).join(', ')
  throw usage(
    [`nobody can be asked here, and this is missing: ${labels}`, ...notBy(passedOver).map(needing)].join(
      '; ',
    ),
    `${command}${flagsFor(wanted, given)}`,
  )
}

/** In one line, what would have been there before a key. */
function needing({ labels, why, hint }: ReturnType<typeof notBy>[number]): string {
  return `not by ${labels}: ${hint === null ? why : `that takes ${hint}`}`
}

function notAccepted(command: string, { fields, because = '', code = '' }: Step<'fill'>): ValetkeyError {
  const mayKeep = fields.some((field) => field.kind === 'confirm')
  const hint = `${command} --key-stdin < another.txt`
  return new ValetkeyError(isErrorCode(code) ? code : 'invalid-credentials', because, {
    hint: mayKeep ? `${hint}, or add --insist to keep this one unchecked` : hint,
  })
}

function flagsFor(wanted: readonly Field[], given: Supply | undefined): string {
  const open = wanted.filter((field) => field.kind !== 'secret').map(({ name }) => ` --field ${name}=…`)
  const secrets = wanted.filter((field) => field.kind === 'secret').map(({ name }) => `${name}=…`)
  const several = secrets.length > 1 ? ` (one a line: ${secrets.join(', ')})` : ''
  const piped = secrets.length > 0 || given?.secret !== undefined
  return open.join('') + (piped ? ` --key-stdin < key.txt${several}` : '')
}

async function enter({ run, stop }: Walk, field: Field): Promise<string> {
  const { prompts } = run.terminal
  const { label, kind, hint, choices = [], optional = false } = field
  const message = `${label}${optional ? ' (optional)' : ''}${hint ? `: ${hint}` : ''}`
  const question = { message, optional, signal: stop.signal }
  if (kind === 'secret') return prompts.secret(question)
  if (kind === 'choice') return choose(prompts, question, choices)
  if (kind === 'confirm') return (await prompts.confirm(question)) ? 'yes' : 'no'
  return prompts.text(question)
}

async function visit(way: Walk, session: FlowSession, { url }: Step<'visit'>): Promise<FlowSession> {
  refuseWithoutPerson(way, session)
  await way.run.terminal.note(`sign in at ${url}`)
  await way.run.openInBrowser(new URL(url)).catch(() => {})
  const back = new AbortController()
  const signal = AbortSignal.any([way.stop.signal, back.signal])
  const paste = pasted(way, session, signal)
  try {
    return await Promise.race([paste, untilMoved(way, session, signal)])
  } finally {
    back.abort()
    await paste.catch(() => {})
  }
}

/** What does not belong to this sign-in is told, and asked for again: nothing is over yet. */
async function pasted({ run, desk }: Walk, { id }: FlowSession, signal: AbortSignal): Promise<FlowSession> {
  const message = 'or paste here the address that the browser came back to'
  for (;;) {
    const callback = await run.terminal.prompts.text({ message, signal })
    try {
      return await desk.answer(id, { callback })
    } catch (error) {
      if ((await desk.flow(id)).state !== 'asking') throw error
      await tellRefusal(error, run.terminal)
    }
  }
}

async function enterCode(way: Walk, session: FlowSession, step: Step<'enter-code'>): Promise<FlowSession> {
  const { terminal } = way.run
  await terminal.note(...codeInWords(session, step, terminal))
  if (terminal.interactive) await way.run.openInBrowser(new URL(step.whole ?? step.at)).catch(() => {})
  return untilMoved(way, session, way.stop.signal)
}

async function handOver(
  way: Walk,
  session: FlowSession,
  { because }: Step<'hand-over'>,
): Promise<FlowSession> {
  refuseWithoutPerson(way, session)
  await way.run.terminal.note(`please go on in the browser: ${because}`)
  return untilMoved(way, session, way.stop.signal)
}

function refuseWithoutPerson({ run, command }: Walk, { instead }: FlowSession): void {
  if (run.terminal.interactive) return
  throw new ValetkeyError('browser-unavailable', 'this sign-in needs a person at a terminal', {
    hint: `run ${command} in a terminal, or use the page: valetkey open`,
    instead,
  })
}

/** The broker does the polling of providers; here only its latest step is read. */
async function untilMoved(way: Walk, session: FlowSession, signal: AbortSignal): Promise<FlowSession> {
  const before = shownOf(session)
  let latest = session
  while (latest.state === 'asking' && shownOf(latest) === before) {
    await delay(LOOK_AGAIN_MS, undefined, { signal })
    latest = await way.desk.flow(session.id)
  }
  return latest
}

/** What a person sees of it. How often the provider is asked meanwhile is nothing to them. */
function shownOf({ step }: FlowSession): string {
  return JSON.stringify(step, (key, value) => (key === 'everySeconds' ? undefined : value))
}

async function lookAgain({ desk, stop }: Walk, { id }: FlowSession): Promise<FlowSession> {
  await delay(LOOK_AGAIN_MS, undefined, { signal: stop.signal })
  return desk.flow(id)
}

function finished(session: FlowSession, { command }: Walk): FlowSession {
  if (session.state === 'done') return session
  if (session.state === 'cancelled') throw new ValetkeyError('cancelled', 'cancelled')
  if (session.failure !== null) throw fromFailure(session.failure, session.instead)
  throw new ValetkeyError('flow-failed', 'the sign-in was cut short', { hint: command })
}

/** An account that came to be before the goodbye is whole, and the person is told of it. */
async function leave({ desk, run }: Walk, begun: Promise<FlowSession>): Promise<void> {
  const goodbye = async () => {
    const session = await begun.catch(() => undefined)
    return session && (await desk.cancel(session.id).catch(() => undefined))
  }
  const patience = delay(GOODBYE_MS, undefined, { ref: false })
  const last = await Promise.race([goodbye(), patience])
  if (last?.state === 'done') {
    await run.terminal.note('the account was connected before that; valetkey accounts shows it')
  }
}
