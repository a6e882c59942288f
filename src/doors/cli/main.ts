import { Command, CommanderError } from 'commander'
import { CONTENTS, type Entry } from './contents.ts'
import { examples } from './examples.ts'
import { tellFailure, usage } from './failure.ts'
import type { CliHands } from './hands.ts'
import { helpOf } from './help.ts'
import { misunderstood } from './misunderstood.ts'
import { createRun, type Run, type Wishes } from './run.ts'
import { createTerminal, type Terminal } from './terminal.ts'
import { callerOf, quoted, refuseKeys, suggestion } from './words.ts'

const WIDEST_HELP = 100

/** The terminal door. It answers with the exit code, and never throws. */
export async function runCli(hands: CliHands): Promise<number> {
  const terminal = createTerminal(hands.io, hands.env)
  const wishes: Wishes = { json: false, as: undefined, exit: 0 }
  const run = createRun(hands, terminal, wishes)
  try {
    refuseKeys(hands.argv)
    await obey(spelledOut(hands.argv), hands, terminal, run, wishes)
    await run.close().catch(() => {})
    if (wishes.signal !== undefined) hands.leaveBy?.(wishes.signal)
    return wishes.exit
  } catch (error) {
    const json = wishes.json || ownOf(hands.argv).includes('--json')
    return await tellFailure(error, terminal, { json, env: hands.env })
  } finally {
    await run.close().catch(() => {})
  }
}

/** Nothing said means the page; `help lend` is another way to say `lend --help`. */
function spelledOut(argv: readonly string[]): readonly string[] {
  if (argv.length === 0) return ['open']
  return argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv
}

async function obey(
  argv: readonly string[],
  { io, version }: CliHands,
  terminal: Terminal,
  run: Run,
  wishes: Wishes,
): Promise<void> {
  const printed: string[] = []
  const program = new Command('valetkey')
    .description('keeps your accounts and lends them to programs, without giving them away')
    .exitOverride()
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'say how it is used')
    .helpCommand(false)
    .configureHelp({ styleTitle: (title) => title.toLowerCase(), subcommandTerm: namesOf })
    .configureOutput({
      writeOut: (text) => void printed.push(text),
      writeErr: () => {},
      getOutHelpWidth: () => (io.stdout.isTTY && io.stdout.columns) || WIDEST_HELP,
    })
    .addHelpText('after', examples('connect openai', 'forward openai GET /v1/models'))
    .hook('preAction', (_, command) => heed(command, wishes))
  const wanted = wantedOf(argv)
  for (const entry of CONTENTS) await enter(program, entry, wanted, run)
  addGlobals(program)
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode !== 0) throw misunderstood(error, usageOf(program, argv))
    if (ownOf(argv).includes('--json')) return terminal.document(described(error, program, argv, version))
  }
  if (printed.length > 0) await terminal.answer(...printed.join('').trimEnd().split('\n'))
}

/** Every command is named; only the one that is wanted is loaded. */
async function enter(program: Command, entry: Entry, wanted: string | undefined, run: Run): Promise<void> {
  const command = program.command(entry.name).description(entry.summary).helpGroup(entry.group)
  if (entry.alias) command.alias(entry.alias)
  if (wanted !== entry.name && wanted !== entry.alias) return
  const shape = await entry.load()
  shape(command, run)
}

function wantedOf(argv: readonly string[]): string | undefined {
  const wanted = wordsOf(argv)[0]
  const known = CONTENTS.flatMap(({ name, alias }) => (alias ? [name, alias] : [name]))
  if (wanted === undefined || known.includes(wanted)) return wanted
  throw usage(`there is no command ${quoted(wanted)}`, meant(wanted, known))
}

function meant(wanted: string, known: readonly string[]): string {
  const near = suggestion(wanted, known)
  return near.startsWith('one of') ? 'valetkey --help lists them' : near
}

/** What is neither an option nor the value of one that may stand before the command. */
function wordsOf(argv: readonly string[]): readonly string[] {
  return ownOf(argv).filter((word, at) => !word.startsWith('-') && argv[at - 1] !== '--as')
}

/** What follows two dashes is another program's. */
function ownOf(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--')
  return end === -1 ? argv : argv.slice(0, end)
}

/** What would have been printed as text, for a program. */
function described({ code }: CommanderError, program: Command, argv: readonly string[], version: string) {
  return code === 'commander.version' ? { version } : helpOf(meantOf(program, argv))
}

function meantOf(program: Command, argv: readonly string[]): Command {
  let command = program
  for (const word of wordsOf(argv)) {
    const inner = command.commands.find((one) => one.name() === word || one.aliases().includes(word))
    if (inner === undefined) break
    command = inner
  }
  return command
}

/** How the command that was meant is written. */
function usageOf(program: Command, argv: readonly string[]): string {
  const command = meantOf(program, argv)
  return command
    .createHelp()
    .commandUsage(command)
    .replace(/\|\w+/, '')
    .replace(/ \[options\]/, '')
}

function namesOf(command: Command): string {
  return [command.name(), ...command.aliases()].join(', ')
}

/** The same everywhere, before the command's name and after it. */
function addGlobals(command: Command): void {
  command.option('--json', 'answer with one JSON document')
  command.option('--as <caller>', 'stand back to a lesser caller, such as app:reports')
  for (const inner of command.commands) addGlobals(inner)
}

function heed(command: Command, wishes: Wishes): void {
  const { json, as } = command.optsWithGlobals<{ json?: true; as?: string }>()
  wishes.json = json ?? false
  if (as !== undefined) wishes.as = callerOf(as)
}
