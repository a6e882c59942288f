import { type Ask, type Decision, type Desk, ValetkeyError } from '#client'
import { addressesIn, askInWords, DECIDED, detailsOf, putTo, whoInWords, wishInWords } from '../asking.ts'
import { examples } from '../examples.ts'
import { usage } from '../failure.ts'
import { untilInterrupted } from '../interrupt.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { duration, relative } from '../when.ts'
import { refuseUnknownWord } from './group.ts'

const TEN_MINUTES_MS = 10 * 60_000

interface Allowing {
  readonly once?: true
  readonly for?: string
  readonly always?: true
}

export const asks: Shape = (command, run) => {
  command
    .usage('[command] [options]')
    .argument('[command]', 'what to do; nothing lists them, and lets you answer what is open')
    .option('--watch', 'stay, and show each one as it comes')
    .addHelpText('after', examples('asks', 'asks --watch'))
    .action(async (word: string | undefined, { watch: stay }: { watch?: true }) => {
      refuseUnknownWord(command, word)
      await (stay ? watch(run) : list(run))
    })

  command
    .command('allow')
    .description('say yes to one')
    .argument('<id>', 'as valetkey asks lists it')
    .option('--once', 'for the next use alone; where nothing is said')
    .option('--for <time>', 'for ten minutes: 10m')
    .option('--always', 'from now on')
    .addHelpText('after', examples('asks allow ask-7f3a', 'asks allow ask-7f3a --always'))
    .action(async (id: string, allowing: Allowing) => decide(run, id, decisionOf(allowing)))

  command
    .command('refuse')
    .description('say no to one')
    .argument('<id>', 'as valetkey asks lists it')
    .addHelpText('after', examples('asks refuse ask-7f3a'))
    .action(async (id: string) => decide(run, id, 'no'))
}

function decisionOf({ once, for: time, always }: Allowing): Decision {
  const said = [once, time, always].filter((one) => one !== undefined)
  if (said.length > 1) throw usage('this says more than one thing', 'one of --once, --for 10m and --always')
  if (always) return 'always'
  if (time === undefined) return 'once'
  if (duration(time) === TEN_MINUTES_MS) return 'ten-minutes'
  throw usage('for a time is for ten minutes', '--for 10m; for longer: valetkey bind … --until 2h')
}

async function decide({ reach, terminal, json }: Run, id: string, decision: Decision): Promise<void> {
  const { desk } = await reach()
  const ask = await desk.decide(id, decision)
  if (json) return terminal.document(ask)
  await terminal.note(
    `${DECIDED[decision]}: ${whoInWords(ask)} may ${decision === 'no' ? 'not ' : ''}${wishInWords(ask)}`,
  )
}

async function list(run: Run): Promise<void> {
  const { terminal, json, now } = run
  const { desk, keeper } = await run.reach()
  const found = await desk.asks()
  if (json) return terminal.document(found)
  if (found.length === 0) return terminal.note('nobody asks for anything')
  const isOwner = (await keeper.status()).accounts !== null
  const accounts = isOwner ? await addressesIn(desk) : undefined
  await terminal.columns(
    ['id', 'state', 'who', 'wants to', 'for', 'asked', 'ends'],
    found.map((ask) => row(ask, accounts, now())),
  )
  if (!terminal.interactive) return
  for (const ask of found.filter(({ state }) => state === 'pending')) await answer(run, desk, ask)
}

/** Only the owner is told whether there is such an account. */
function row(ask: Ask, accounts: readonly string[] | undefined, now: Date): string[] {
  const { id, state, decision, reason, askedAt, until } = ask
  const missing = accounts?.includes(ask.address) === false ? ' (no such account)' : ''
  const said = decision === null ? state : DECIDED[decision]
  const ends = until === null ? 'never' : relative(until, now)
  return [id, said, whoInWords(ask), wishInWords(ask) + missing, reason, relative(askedAt, now), ends]
}

async function answer(run: Run, desk: Desk, ask: Ask): Promise<void> {
  const decided = await putTo(run, desk, ask).catch(async (error: unknown) => {
    // Answered on the page meanwhile, or too late.
    if (!(error instanceof ValetkeyError) || error.code !== 'conflict') throw error
    await run.terminal.note(error.message)
  })
  if (decided?.decision) await run.terminal.note(DECIDED[decided.decision])
}

async function watch(run: Run): Promise<void> {
  const { desk } = await run.reach()
  await untilInterrupted(run, async ({ signal }) => {
    const seen = new Set<string>()
    const show = async (ask: Ask) => {
      if (ask.state !== 'pending' || seen.has(ask.id)) return
      seen.add(ask.id)
      await tell(run, desk, ask)
    }
    // From now on, before what is open already is looked up, so that nothing falls between the two.
    const events = desk.events({ after: `${run.now().getTime()}-0`, signal })[Symbol.asyncIterator]()
    const next = events.next()
    if (!run.json) await run.terminal.note('waiting for somebody to ask; ctrl-c ends it')
    for (const ask of (await desk.asks()).toReversed()) await show(ask)
    for (let told = await next; !told.done && !signal.aborted; told = await events.next())
      if (told.value.name === 'asked') await show((await current(desk, told.value.ask)) ?? told.value.ask)
  })
}

/** It may have been answered elsewhere while another one was put to the person. */
async function current(desk: Desk, { id }: Ask): Promise<Ask | undefined> {
  return desk.asked(id).catch(() => undefined)
}

async function tell(run: Run, desk: Desk, ask: Ask): Promise<void> {
  if (run.json) return run.terminal.document(ask)
  if (run.terminal.interactive) return answer(run, desk, ask)
  const details = detailsOf(ask, await addressesIn(desk), run.now())
  await run.terminal.answer(askInWords(ask), ...details, `  valetkey asks allow ${ask.id}`)
}
