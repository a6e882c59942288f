import { Readable } from 'node:stream'
import type { ForwardAnswer, ForwardRequest } from '#client'
import { examples } from '../examples.ts'
import { usage } from '../failure.ts'
import { headersOf } from '../headers.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { writtenAddress } from '../words.ts'

const NEWLINE = 10

interface Options {
  readonly header?: readonly string[]
  readonly data?: string
  readonly dataStdin?: true
  readonly include?: true
  readonly purpose?: string
}

export const forward: Shape = (command, run) => {
  command
    .argument('<address>', 'the account, such as openai')
    .argument('<method>', 'GET, POST, …')
    .argument('<path>', "a path, or a whole URL at one of the provider's hosts")
    .option('-H, --header <header>', "a header, as 'name: value'", collect)
    .option('-d, --data <text>', 'the body')
    .option('--data-stdin', 'read the body from standard input')
    .option('-i, --include', 'print the status and the headers too')
    .option('--purpose <words>', 'what it is for; goes on record')
    .addHelpText(
      'after',
      examples('forward openai GET /v1/models', 'forward github POST /user/repos --data-stdin < repo.json'),
    )
    .action(async (account: string, method: string, path: string, options: Options) => {
      const request = requestOf(run, account, method, path, options)
      const { desk } = await run.reach()
      const answer = await desk.forward(request)
      await (run.json ? tellWhole(run, answer) : pour(run, answer, options.include))
      if (answer.status < 400) return
      const hint = hintOf(answer, request.address)
      await run.terminal.note(`${run.terminal.paint('red', '!')} upstream answered ${answer.status}`, ...hint)
      run.leaveWith(1)
    })
}

/** What came of renewing the access that was refused, as the broker says beside the answer. */
function hintOf({ headers }: ForwardAnswer, address: string): string[] {
  const [, said] = headers.find(([name]) => name === 'valetkey-retry') ?? []
  switch (said) {
    case 'refused-again':
      return ['  hint: the access was renewed for this, and refused again']
    case 'not-repeated':
      return ['  hint: the access was renewed meanwhile; send it again']
    case 'not-renewed':
      return ['  hint: the access could not be renewed; valetkey accounts']
    case 'not-renewable':
      return [`  hint: valetkey rotate ${address}`]
    default:
      return []
  }
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}

function requestOf(
  run: Run,
  account: string,
  method: string,
  path: string,
  { header, data, dataStdin, purpose }: Options,
): ForwardRequest {
  if (data !== undefined && dataStdin) throw usage('there are two bodies', 'use --data or --data-stdin')
  const body = dataStdin ? (Readable.toWeb(run.terminal.stdin) as ReadableStream<Uint8Array>) : data
  return {
    address: writtenAddress(account),
    method: methodOf(method),
    path: pathOf(path),
    headers: headersOf(header ?? [], data),
    ...(body !== undefined && { body }),
    ...(purpose !== undefined && { purpose }),
  }
}

function methodOf(text: string): string {
  if (/^[a-z]{1,20}$/i.test(text)) return text.toUpperCase()
  throw usage(
    `${JSON.stringify(text.slice(0, 40))} is not a method`,
    'valetkey forward openai GET /v1/models',
  )
}

function pathOf(text: string): string {
  if (text.startsWith('/') || /^https?:\/\//i.test(text)) return text
  throw usage(`${JSON.stringify(text.slice(0, 80))} is not a path`, 'a path begins with a slash: /v1/models')
}

/** As it comes. Whoever stops reading ends it. */
async function pour(run: Run, answer: ForwardAnswer, include: true | undefined): Promise<void> {
  const { terminal } = run
  if (include) {
    const lines = answer.headers.map(([name, value]) => `${name}: ${value}`)
    await terminal.answer(`HTTP ${answer.status}`, ...lines, '')
  }
  let last = NEWLINE
  for await (const chunk of answer.body ?? []) {
    last = chunk.at(-1) ?? last
    if (!(await terminal.bytes(chunk))) return
  }
  if (terminal.interactive && last !== NEWLINE) await terminal.answer('')
}

async function tellWhole({ terminal }: Run, { status, headers, body }: ForwardAnswer): Promise<void> {
  const bytes = Buffer.from(await new Response(body).arrayBuffer())
  const text = bytes.toString('utf8')
  const readable = Buffer.from(text).equals(bytes)
  await terminal.document({
    status,
    headers,
    ...(readable ? { body: text } : { bodyBase64: bytes.toString('base64') }),
  })
}
