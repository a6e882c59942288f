import type { KeySourceKind, RekeyRequest, VaultStatus } from '#client'
import { examples } from '../examples.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { relative } from '../when.ts'
import { callerOf, oneOf, ownerOf } from '../words.ts'
import { confirm } from './confirm.ts'
import { exportTo } from './export.ts'
import { refuseUnknownWord } from './group.ts'
import { importFrom } from './import.ts'
import { newPassphrase, passphrase } from './passphrase.ts'
import { printRevoked } from './revoke.ts'

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
    .option(
      '--command <path>',
      'the program that wraps the key; it has to be the keyCommand of the configuration',
    )
    .option('--passphrase-stdin', 'read the new passphrase from standard input')
    .addHelpText('after', examples('vault rekey --to passphrase', 'vault rekey --to command'))
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
    .command('import')
    .description('take in the accounts of such a file')
    .argument('<file>', 'what vault export wrote')
    .option('--replace', 'put them in the place of those that are connected here already')
    .option('--passphrase-stdin', 'read the passphrase of the file from standard input')
    .addHelpText(
      'after',
      examples('vault import accounts.vk', 'vault import accounts.vk --passphrase-stdin < passphrase.txt'),
    )
    .action(async (file: string, options: { replace?: true; passphraseStdin?: true }) =>
      importFrom(run, file, options),
    )

  command
    .command('revoke-everything')
    .description('end every account of everybody, or of one owner')
    .option('--owner <owner>', 'only the accounts of this one; me, for your own')
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      examples('vault revoke-everything', 'vault revoke-everything --owner person:ada --yes'),
    )
    .action(async ({ owner: who, yes }: { owner?: string; yes?: true }) => {
      const owner = who === undefined ? undefined : ownerOf(who)
      await confirm(run, `end every account of ${owner ?? 'everybody here'} for good?`, yes)
      const { keeper } = await run.reach()
      const receipts = await keeper.revokeEverything(owner)
      if (run.json) return run.terminal.document(receipts)
      await printRevoked(run, receipts)
    })

  command
    .command('erase')
    .description("end an owner's accounts and destroy their key: nothing of theirs is readable from then on")
    .argument('<owner>', 'me, for everything that is yours')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', examples('vault erase me', 'vault erase me --yes'))
    .action(async (who: string, { yes }: { yes?: true }) => {
      const owner = callerOf(who)
      await confirm(run, `destroy everything of ${owner}? no copy of it will ever open again`, yes)
      const { keeper } = await run.reach()
      const receipts = await keeper.eraseOwner(owner)
      if (run.json) return run.terminal.document({ erased: owner, receipts })
      if (receipts.length > 0) await printRevoked(run, receipts)
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
  return source === 'command' && options.command ? { source, command: options.command } : { source }
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
      [
        'accounts',
        accounts === null ? (locked ? 'not known while locked' : 'for the owner to know') : String(accounts),
      ],
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
