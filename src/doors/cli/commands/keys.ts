import type { Grant, Narrowed, NarrowRequest, ValetKey } from '#client'
import { examples } from '../examples.ts'
import { usage } from '../failure.ts'
import { type GrantWords, grantOptions, heldInWords, readGrants } from '../grants.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { moment, relative } from '../when.ts'
import { refuseUnknownWord } from './group.ts'

interface CutWords extends GrantWords {
  readonly for?: string
  readonly dpop?: string
  readonly socket?: true
}

export const keys: Shape = (command, run) => {
  command
    .usage('[command] [options]')
    .argument('[command]', 'what to do; nothing lists them')
    .addHelpText('after', examples('keys', 'keys cut ci --allow github/work:forward --for 1h'))
    .action(async (word: string | undefined) => {
      refuseUnknownWord(command, word)
      await list(run)
    })

  const cutting = command
    .command('cut')
    .description('cut a key for a program that comes from elsewhere; it is printed once')
    .argument('<name>', 'what it is called where it is listed')
  cutOptions(grantOptions(cutting))
    .addHelpText(
      'after',
      examples(
        'keys cut ci --allow github/work:forward,lend --for 1h',
        "keys cut reports --allow openai --only 'POST /v1/responses' --rate 60/m",
      ),
    )
    .action((name: string, words: CutWords) => cut(run, { ...words, name }))

  command
    .command('kill')
    .description('end a key, and all that were made by it')
    .argument('<id>', 'as valetkey keys lists it')
    .addHelpText('after', examples('keys kill key:7f3a', 'keys kill key:7f3a --json'))
    .action(async (id: string) => {
      const { desk } = await run.reach()
      await desk.endKey(id)
      if (run.json) return run.terminal.document({ id })
      await run.terminal.note(`${id} is over, and so are all that it made`)
    })
}

/** What a caller cuts for its child: the same words, and never more than the caller may itself. */
export const narrow: Shape = (command, run) => {
  command
    .argument('[name]', 'what it is called where it is listed')
    .option('--socket', 'a socket of its own instead of a key; its path is printed')
  cutOptions(grantOptions(command))
    .addHelpText(
      'after',
      examples(
        'narrow --allow github/work:forward --for 10m',
        'narrow child --socket --allow openai --for 1h',
      ),
    )
    .action((name: string | undefined, words: CutWords) => cut(run, { ...words, name }))
}

function cutOptions(command: ReturnType<typeof grantOptions>): ReturnType<typeof grantOptions> {
  return command
    .option('--for <time>', 'for how long, such as 1h, or until when')
    .option('--dpop <thumbprint>', 'good only with proof of this private key, by its RFC 7638 thumbprint')
}

/** The key alone goes to standard output, so that it can be handed on without being read. */
async function cut(
  run: Run,
  { name, ...words }: CutWords & { readonly name: string | undefined },
): Promise<void> {
  const { for: until, dpop, socket } = words
  if (socket && dpop !== undefined)
    throw usage('a socket takes no thumbprint', 'leave out --dpop, or --socket')
  const grants = readGrants(words)
  if (grants.length === 0)
    throw usage('it has to be said what is allowed', 'such as --allow github/work:forward')
  const request: NarrowRequest = {
    kind: socket ? 'socket' : 'key',
    grants,
    ...(name !== undefined && { name }),
    ...(until !== undefined && { until: moment(until, run.now(), 'ahead') }),
    ...(dpop !== undefined && { thumbprint: dpop }),
  }
  const { desk } = await run.reach()
  const narrowed = await desk.narrow(request)
  if (run.json) return run.terminal.document(narrowed)
  await tell(run, narrowed)
}

async function tell({ terminal, now }: Run, { key, secret }: Narrowed): Promise<void> {
  await terminal.answer(secret ?? key.socket ?? key.id)
  const end = key.until === null ? '' : `; this ends ${relative(key.until, now())}`
  await terminal.note(`${key.id} may ${mayInWords(key)}${end}`)
  if (secret !== null) await terminal.note(`it is shown this once; to end it: valetkey keys kill ${key.id}`)
}

async function list({ terminal, json, now, reach }: Run): Promise<void> {
  const { desk } = await reach()
  const found = await desk.keys()
  if (json) return terminal.document(found)
  if (found.length === 0)
    return terminal.note('no keys yet', '  hint: valetkey keys cut ci --allow github/work:forward --for 1h')
  await terminal.columns(
    ['id', 'name', 'may', 'made by', 'ends'],
    found.map((key) => row(key, now())),
  )
}

function row(key: ValetKey, now: Date): string[] {
  const { id, name, parent, until } = key
  return [id, name, mayInWords(key), parent, until === null ? 'never' : relative(until, now)]
}

/** A socket may be made with nothing, and its program asks. A key never is. */
function mayInWords({ kind, grants, thumbprint }: ValetKey): string {
  if (grants.length === 0)
    return kind === 'socket' ? 'nothing: it asks, or was changed outside' : 'nothing: it was changed outside'
  const bound = thumbprint === null ? '' : ', with proof of its own private key'
  return `${grants.map(inWords).join('; ')}${bound}`
}

function inWords({ address, may, limits }: Grant): string {
  return heldInWords(`${may.join(', ')} ${address}`, limits)
}
