import { type Desk, type NarrowRequest, ValetkeyError } from '#client'
import { runChild } from '../child.ts'
import { examples } from '../examples.ts'
import { type GrantWords, grantOptions, readGrants } from '../grants.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { surroundings } from '../surroundings.ts'
import { moment } from '../when.ts'
import { wholeNumber } from '../words.ts'

const HIGHEST_UID = 4_294_967_294
const LONGEST_NAME = 60

interface Options extends GrantWords {
  readonly for?: string
  readonly uid?: readonly string[]
}

export const sandbox: Shape = (command, run) => {
  grantOptions(
    command.usage('[options] -- <program...>').argument('<program...>', 'what to run, and its words'),
  )
    .option('--for <time>', 'for how long, such as 1h; it ends with the program anyhow')
    .option('--uid <number>', 'a user who may come in too, where the program becomes one', each)
    .addHelpText(
      'after',
      examples(
        'sandbox --allow github/work:forward,lend -- make release',
        "sandbox --allow openai --only 'POST /v1/responses' --budget 100 --for 1h -- sh",
      ),
    )
    .addHelpText('after', NOTES)
    .action(async (words: [string, ...string[]], options: Options) => {
      const request = requestOf(run, words[0], options)
      const { desk } = await run.reach()
      await withSocket(desk, request, async (socket) => {
        await runChild(run, { words, env: surroundings(run.env, socket) })
      })
    })
}

const NOTES = `
with nothing allowed the program asks you for what it needs, by "valetkey ask".
the program comes in by a socket of its own, VALETKEY_SOCKET, which is all that it is told of
valetkey; "valetkey forward", "valetkey lend" and "valetkey sandbox" work in there by what was allowed.
that it reads no files and no memory of yours is for another kind of sandbox to see to.`

function requestOf(run: Run, program: string, options: Options): Omit<NarrowRequest, 'kind'> {
  const { uid, for: time } = options
  const own = process.getuid?.()
  const uids = uid?.map((text) => wholeNumber(text, 'the number of a user', 0, HIGHEST_UID))
  return {
    name: nameOf(program),
    grants: readGrants(options),
    ...(time !== undefined && { until: moment(time, run.now(), 'ahead') }),
    ...(uids !== undefined && { uids: [...new Set(own === undefined ? uids : [own, ...uids])] }),
  }
}

/** Does something with a socket that is there for just as long. */
export async function withSocket(
  desk: Desk,
  request: Omit<NarrowRequest, 'kind'>,
  work: (socket: string) => Promise<void>,
): Promise<void> {
  const { key } = await desk.narrow({ ...request, kind: 'socket', endsWithMe: true })
  try {
    if (key.socket === null) throw new ValetkeyError('broker-gone', 'no socket was opened for the program')
    await work(key.socket)
  } finally {
    // Should it be gone already, or the broker, then it is over as well.
    await desk.endKey(key.id).catch(() => {})
  }
}

/** By what it is listed: the program alone, without its words. */
export function nameOf(program: string): string {
  const [name = program] = program.split('/').slice(-1)
  return name.replaceAll(/[^\x21-\x7e]/g, '').slice(0, LONGEST_NAME) || 'program'
}

function each(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}
