import { type Desk, type FlowSession, type FlowStep, formatAddress, ValetkeyError } from '#client'
import { examples } from '../examples.ts'
import { untilInterrupted } from '../interrupt.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { walk } from '../walk.ts'
import { relative } from '../when.ts'
import { tell } from './connect.ts'

export const flows: Shape = (command, run) => {
  command
    .argument('[sign-in]', 'go on with this one here, whichever door it was begun at: its id, or its account')
    .option('--cancel', 'end it instead')
    .addHelpText('after', examples('flows github/work', 'flows github/work --cancel'))
    .action(async (named: string | undefined, { cancel }: { cancel?: true }) => {
      if (named === undefined) return list(run)
      await (cancel ? end(run, named) : goOn(run, named))
    })
}

async function list({ reach, terminal, json, now }: Run): Promise<void> {
  const found = await (await reach()).desk.flows()
  if (json) return terminal.document(found)
  if (found.length === 0) return terminal.note('no sign-in is under way')
  await terminal.columns(
    ['account', 'waits for', 'ends', 'id'],
    found.map((session) => [
      addressOf(session),
      waitsFor(session.step),
      relative(session.expiresAt, now()),
      session.id,
    ]),
  )
}

/** Leaving it here leaves it under way, since it was begun elsewhere. */
async function goOn(run: Run, named: string): Promise<void> {
  const command = `valetkey flows ${named}`
  const session = await untilInterrupted(run, async (stop) => {
    const { desk } = await stop.or(run.reach())
    const found = await stop.or(find(desk, named))
    const begun = `valetkey connect ${addressOf(found)}`
    return walk({ run, desk, stop, command: begun, isTakenUp: true }, async () => found, {
      open: {},
      secret: undefined,
    })
  }).catch((error: unknown) => {
    if (!(error instanceof ValetkeyError) || error.code !== 'cancelled') throw error
    throw new ValetkeyError('cancelled', 'it goes on without this command', {
      hint: command,
      cause: error.cause,
    })
  })
  await tell(run, session, 'connected')
}

async function end(run: Run, named: string): Promise<void> {
  const { desk } = await run.reach()
  const ended = await desk.cancel((await find(desk, named)).id)
  if (run.json) return run.terminal.document(ended)
  await run.terminal.note(`the sign-in to ${addressOf(ended)} is cancelled`)
}

async function find(desk: Desk, named: string): Promise<FlowSession> {
  const open = await desk.flows()
  const found = open.find((session) => session.id === named || addressOf(session) === named)
  if (found !== undefined) return found
  throw new ValetkeyError('flow-not-found', `no sign-in called ${named} is under way`, {
    hint: 'valetkey flows',
  })
}

function addressOf({ provider, bucket }: FlowSession): string {
  return provider === null ? 'a pasted key' : formatAddress({ provider, bucket })
}

/** One more step is a type error here. */
const AWAITED: Record<FlowStep['ask'], string> = {
  visit: 'a browser',
  'enter-code': 'a code to be entered',
  fill: 'what you fill in',
  wait: 'the provider',
  'hand-over': 'you, in the browser',
}

function waitsFor(step: FlowStep | null): string {
  if (step?.ask === 'enter-code') return `the code ${step.code} to be entered`
  return step === null ? '' : AWAITED[step.ask]
}
