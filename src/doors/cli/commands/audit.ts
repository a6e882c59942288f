import { type AuditEntry, type AuditQuery, type AuditVerb, type AuditVerdict, ValetkeyError } from '#client'
import { examples } from '../examples.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { moment, relative } from '../when.ts'
import { callerOf, oneOf, wholeNumber } from '../words.ts'
import { confirm } from './confirm.ts'
import { refuseUnknownWord } from './group.ts'

const MOST_LINES = 100_000
const VERBS: Record<AuditVerb, true> = {
  connect: true,
  lend: true,
  forward: true,
  reveal: true,
  refresh: true,
  rotate: true,
  revoke: true,
  'revoke-everything': true,
  bind: true,
  unbind: true,
  narrow: true,
  'end-key': true,
  ask: true,
  decide: true,
  'add-provider': true,
  register: true,
  unregister: true,
  'end-lease': true,
  unlock: true,
  lock: true,
  rekey: true,
  'erase-owner': true,
  export: true,
  import: true,
  'accept-restore': true,
  'prune-audit': true,
  'read-audit': true,
  'verify-audit': true,
}

interface Options {
  readonly verb?: string
  readonly caller?: string
  readonly since?: string
  readonly limit?: string
}

export const audit: Shape = (command, run) => {
  command
    .usage('[command] [options]')
    .argument('[command]', 'what to do; nothing lists the record')
    .addHelpText('after', examples('audit list --since 1h', 'audit verify'))
    .action(async (word: string | undefined) => {
      refuseUnknownWord(command, word)
      await list(run, {})
    })

  command
    .command('list')
    .description('list what was done, and what was refused')
    .option('--verb <verb>', 'only this verb, such as lend')
    .option('--caller <caller>', 'only this caller')
    .option('--since <time>', 'not older than this, such as 1h')
    .option('--limit <number>', 'so many lines at most')
    .addHelpText('after', examples('audit list --verb reveal', 'audit list --caller app:reports --since 7d'))
    .action(async (options: Options) => list(run, query(options, run.now())))

  command
    .command('verify')
    .description('prove that the record was not changed')
    .addHelpText('after', examples('audit verify', 'audit verify --json'))
    .action(async () => {
      const { keeper } = await run.reach()
      await tell(run, await keeper.verifyAudit())
    })

  command
    .command('prune')
    .description('forget old entries; what remains still verifies')
    .requiredOption('--before <time>', 'older than this, such as 30d')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', examples('audit prune --before 90d', 'audit prune --before 2027-01-31 --yes'))
    .action(async ({ before, yes }: { before: string; yes?: true }) => {
      const at = moment(before, run.now(), 'back')
      await confirm(run, `forget all entries of the record before ${at}?`, yes)
      const { keeper } = await run.reach()
      await tell(run, await keeper.pruneAudit(at))
    })
}

function query({ verb, caller, since, limit }: Options, now: Date): AuditQuery {
  return {
    ...(verb !== undefined && {
      verb: oneOf(verb, Object.keys(VERBS) as AuditVerb[], 'a verb of the record'),
    }),
    ...(caller !== undefined && { caller: callerOf(caller) }),
    ...(since !== undefined && { since: moment(since, now, 'back') }),
    ...(limit !== undefined && { limit: wholeNumber(limit, 'a number of lines', 1, MOST_LINES) }),
  }
}

async function list({ terminal, json, now, reach }: Run, query: AuditQuery): Promise<void> {
  const { desk } = await reach()
  const entries = await desk.audit(query)
  if (json) return terminal.document(entries)
  if (entries.length === 0) return terminal.note('nothing of this kind is on record')
  await terminal.columns(
    ['entry', 'when', 'caller', 'verb', 'what', 'outcome', 'why'],
    entries.map((entry) => row(entry, now())),
  )
}

function row(entry: AuditEntry, now: Date): string[] {
  const { seq, at, caller, verb, target, outcome, code, detail } = entry
  const why = [code, detail].filter(Boolean).join(', ')
  return [String(seq), relative(at, now), caller, verb, target, outcome, why]
}

async function tell({ terminal, json, leaveWith }: Run, verdict: AuditVerdict): Promise<void> {
  const { ok, entries, head, problems } = verdict
  if (json) {
    await terminal.document(verdict)
    if (!ok) leaveWith(1)
    return
  }
  if (ok) return terminal.answer(`ok: ${entries} entries, up to ${head}`)
  await terminal.answer(...problems)
  throw new ValetkeyError('tampered', `the record does not verify (problems: ${problems.length})`, {
    hint: 'keep the data folder as it is, and see who could write into it',
  })
}
