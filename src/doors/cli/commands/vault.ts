import type { KeySourceKind, RekeyRequest, VaultStatus } from '#client'
import { examples } from '../examples.ts'
import { usage } from '../failure.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { relative } from '../when.ts'
import { callerOf, oneOf } from '../words.ts'
import { confirm } from './confirm.ts'
import { exportTo } from './export.ts'
import { refuseUnknownWord } from './group.ts'
import { newPassphrase, passphrase } from './passphrase.ts'

const SOURCES: readonly KeySourceKind[] = ['passphrase', 'file', 'environment', 'command']

export const vault: Shape = (command, run) => {
  command
    .usage('[command] [options]')
    .argument('[command]', 'what to do; nothing shows how it is')
    .addHelpText('after', examples('vault', 'vault rekey --to passphrase'))
    .action(async (word: string | undefined) => {
      refuseUnknownWord(command, word)
      await status(run)
    })

  command
    .command('status')
    .description('show how the vault is')
    .addHelpText('after', examples('vault status', 'vault status --json'))
    .action(async () => status(run))

  command
    .command('socket')
    .description('print where the socket is, for curl and for programs')
    .addHelpText('after', examples('vault socket', 'vault socket --json'))
    .action(async () => {
      const { socket } = await (await run.reach()).keeper.status()
      if (run.json) await run.terminal.document({ socket })
      else await run.terminal.answer(socket)
    })

  command
    .command('lock')
    .description('forget the key until the vault is unlocked')
    .addHelpText('after', examples('vault lock', 'vault lock --json'))
    .action(async () => {
      const { keeper } = await run.reach()
      await told(run, await keeper.lock(), 'locked')
    })

  command
    .command('unlock')
    .description('open the vault again')
    .option('--passphrase-stdin', 'read the passphrase from standard input')
    .addHelpText('after', examples('vault unlock', 'vault unlock --passphrase-stdin < passphrase.txt'))
    .action(async ({ passphraseStdin }: { passphraseStdin?: true }) => unlock(run, passphraseStdin))

  command
    .command('rekey')
    .description('keep the master key in another place')
    .requiredOption('--to <source>', 'passphrase, file, environment or command')
    .option('--command <line>', 'the program that wraps and unwraps the key')
    .option('--passphrase-stdin', 'read the new passphrase from standard input')
    .addHelpText(
      'after',
      examples('vault rekey --to passphrase', 'vault rekey --to command --command /usr/local/bin/wrap-key'),
    )
    .action(async (options: RekeyOptions) => {
      const request = await rekeyRequest(run, options)
      const { keeper } = await run.reach()
      await told(run, await keeper.rekey(request), `the key is kept by ${request.source} now`)
    })

  command
    .command('export')
    .description('write all accounts into one sealed file')
    .requiredOption('--to <file>', 'a file that does not exist yet')
    .option('--passphrase-stdin', 'read the passphrase of the file from standard input')
    .addHelpText(
      'after',
      examples(
        'vault export --to accounts.vk',
        'vault export --to accounts.vk --passphrase-stdin < passphrase.txt',
      ),
    )
    .action(async (options: { to: string; passphraseStdin?: true }) => exportTo(run, options))

  command
    .command('erase')
    .description("destroy an owner's key: everything of theirs is unreadable from then on")
    .argument('<owner>', 'me, for everything that is yours')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', examples('vault erase me', 'vault erase me --yes'))
    .action(async (who: string, { yes }: { yes?: true }) => {
      const owner = callerOf(who)
      await confirm(run, `destroy everything of ${owner}? no copy of it will ever open again`, yes)
      const { keeper } = await run.reach()
      await keeper.eraseOwner(owner)
      if (run.json) return run.terminal.document({ erased: owner })
      await run.terminal.answer(`erased ${owner}`)
    })

  command
    .command('accept-restore')
    .description('go on with an older copy of the vault that was put back')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', examples('vault accept-restore', 'vault accept-restore --yes'))
    .action(async ({ yes }: { yes?: true }) => {
      await confirm(run, 'go on with this older copy, without what was done since?', yes)
      const { keeper } = await run.reach()
      await told(run, await keeper.acceptRestore(), 'this copy is the vault now')
    })
}

interface RekeyOptions {
  readonly to: string
  readonly command?: string
  readonly passphraseStdin?: true
}

async function rekeyRequest(run: Run, options: RekeyOptions): Promise<RekeyRequest> {
  const source = oneOf(options.to, SOURCES, 'a place for the key')
  if (source === 'passphrase')
    return { source, passphrase: await newPassphrase(run, 'the new passphrase', options.passphraseStdin) }
  if (source !== 'command') return { source }
  if (options.command) return { source, command: options.command }
  throw usage('which program wraps the key is missing', 'add --command /path/to/program')
}

async function unlock(run: Run, fromStdin: true | undefined): Promise<void> {
  const { keeper } = await run.reach()
  const { locked, keySource } = await keeper.status()
  if (!locked) return told(run, await keeper.status(), 'unlocked already')
  const given = keySource === 'passphrase' || fromStdin ? await passphrase(run, fromStdin) : undefined
  await told(run, await keeper.unlock(given), 'unlocked')
}

async function status(run: Run): Promise<void> {
  const { keeper } = await run.reach()
  const found = await keeper.status()
  if (run.json) return run.terminal.document(found)
  const { id, locked, keySource, engine, home, accounts, pid, version, startedAt, restored } = found
  await run.terminal.columns(
    ['vault', id],
    [
      ['state', locked ? 'locked' : restored ? 'restored' : 'unlocked'],
      ['key kept by', keySource],
      ['accounts', accounts === null ? 'not known while locked' : String(accounts)],
      ['engine', engine],
      ['home', home],
      ['process', `${pid}, version ${version}, started ${relative(startedAt, run.now())}`],
    ],
  )
  if (restored) await run.terminal.note('an older copy was put back', '  hint: valetkey vault accept-restore')
}

async function told({ terminal, json }: Run, status: VaultStatus, words: string): Promise<void> {
  if (json) await terminal.document(status)
  else await terminal.answer(words)
}
