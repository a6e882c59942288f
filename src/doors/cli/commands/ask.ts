import { setTimeout as pause } from 'node:timers/promises'
import { type Ask, type AskRequest, type Desk, type May, ValetkeyError } from '#client'
import { DECIDED, wishInWords } from '../asking.ts'
import { examples } from '../examples.ts'
import { type Stop, untilInterrupted } from '../interrupt.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { duration, relative } from '../when.ts'
import { listOf, writtenAddress } from '../words.ts'

const MAY: readonly May[] = ['lend', 'forward', 'reveal']
/** The broker lets nobody wait longer at once. */
const AT_ONCE_SECONDS = 30
const GONE_MS = 500

interface Options {
  readonly may?: string
  readonly reason: string
  readonly wait?: string
}

export const ask: Shape = (command, run) => {
  command
    .argument('<address>', 'the account, such as github/work')
    .option('--may <verbs>', 'some of lend, forward, reveal; forward where nothing is said')
    .requiredOption('--reason <words>', 'what it is for; the owner reads it')
    .option('--wait <time>', 'wait so long for the answer, such as 5m')
    .addHelpText(
      'after',
      examples(
        "ask github/work --may lend --reason 'weekly report' --as app:reports",
        "ask openai --reason 'summaries' --wait 5m --as app:notes",
      ),
    )
    .action(async (account: string, { may = 'forward', reason, wait }: Options) => {
      const request = {
        address: writtenAddress(account),
        may: listOf<May>(may, MAY, 'something that can be asked for'),
        reason,
      }
      const milliseconds = wait === undefined ? 0 : duration(wait)
      const { desk } = await run.reach()
      await tell(run, await askAndWait(run, desk, request, milliseconds), wait !== undefined)
    })
}

async function askAndWait(run: Run, desk: Desk, request: AskRequest, milliseconds: number): Promise<Ask> {
  const first = await desk.ask(request)
  if (first.state !== 'pending' || milliseconds === 0) return first
  await run.terminal.note(`the owner is asked: ${first.id}`)
  return untilInterrupted(run, (stop) => waitFor(desk, first, Date.now() + milliseconds, stop))
}

/** A broker that goes away meanwhile takes nothing along: the ask is looked for again. */
async function waitFor(desk: Desk, first: Ask, until: number, stop: Stop): Promise<Ask> {
  let ask = first
  while (ask.state === 'pending' && Date.now() < until) {
    const seconds = Math.min(AT_ONCE_SECONDS, Math.ceil((until - Date.now()) / 1000))
    ask = await stop.or(desk.asked(ask.id, seconds)).catch(async (error: unknown) => {
      if (!(error instanceof ValetkeyError) || error.code !== 'broker-gone') throw error
      await stop.or(pause(GONE_MS))
      return ask
    })
  }
  return ask
}

/** Without waiting, to have asked is all; whoever waits wants to hear a yes. */
async function tell({ terminal, json, now, leaveWith }: Run, ask: Ask, isAwaited: boolean): Promise<void> {
  const refusal = refusalOf(ask, isAwaited)
  if (json) {
    await terminal.document(ask)
    if (refusal !== undefined) leaveWith(4)
    return
  }
  if (refusal !== undefined) throw refusal
  await terminal.answer(ask.id)
  if (ask.state === 'pending') {
    await terminal.note(`the owner is asked whether you may ${wishInWords(ask)}`)
    return terminal.note(`  hint: valetkey ask ${ask.address} … --wait 5m waits for the answer`)
  }
  const end = ask.until === null ? '' : `; this ends ${relative(ask.until, now())}`
  await terminal.note(`${ask.decision === null ? 'allowed' : DECIDED[ask.decision]}${end}`)
}

function refusalOf({ state, address, until }: Ask, isAwaited: boolean): ValetkeyError | undefined {
  if (state === 'allowed' || (state === 'pending' && !isAwaited)) return undefined
  if (state === 'refused') {
    const hint = until === null ? undefined : 'the owner is not asked the same again for ten minutes'
    return new ValetkeyError('not-allowed', `the owner said no to ${address}`, { ...(hint && { hint }) })
  }
  const what = state === 'lapsed' ? 'nobody answered, so this has lapsed' : 'nobody has answered yet'
  return new ValetkeyError('ask-needed', what, { hint: 'say the same again, and wait for longer' })
}
