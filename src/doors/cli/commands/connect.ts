import type { Command } from 'commander'
import {
  type Account,
  type ConnectRequest,
  type Desk,
  type FlowSession,
  formatAddress,
  type ProviderCard,
  ValetkeyError,
} from '#client'
import { isReference } from '../../../model/references.ts'
import { examples } from '../examples.ts'
import { keyInArgv, orElse, usage } from '../failure.ts'
import { untilInterrupted } from '../interrupt.ts'
import { looksLikeKey } from '../looks-like-key.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { walk } from '../walk.ts'
import { duration, relative } from '../when.ts'
import { addressOf, pairOf, quoted, suggestingProvider, writtenAddress } from '../words.ts'
import { listProviders, needsOf } from './providers.ts'
import { printReceipt } from './receipt.ts'

interface Options {
  readonly keyStdin?: true
  readonly field?: readonly string[]
  readonly var?: readonly string[]
  readonly flow?: string
  readonly insist?: true
  readonly scope?: readonly string[]
  readonly name?: string
}

const DAY_MS = 24 * 60 * 60_000

export const connect: Shape = (command, run) => {
  signInOptions(command)
    .argument(
      '[provider]',
      'such as openai, or github/work for a second account; or the address of an MCP server; a pasted key names its own',
    )
    .option('--name <name>', 'what an MCP server that is named by its address shall be called')
    .addHelpText(
      'after',
      examples(
        'connect datadog --var site=datadoghq.eu --key-stdin < keys.txt',
        'connect https://mcp.notion.com/mcp',
      ),
    )
    .action(async (provider: string | undefined, options: Options) => {
      if (provider?.includes('://')) return connectByLink(run, provider, options)
      if (options.name !== undefined)
        throw usage(
          'only what is named by its address is given a name',
          'valetkey connect https://… --name …',
        )
      if (provider !== undefined) return connectTo(run, provider, options)
      if (options.keyStdin) return connectByKey(run, options)
      await choose(run, options)
    })
}

export const reconnect: Shape = (command, run) => {
  signInOptions(command)
    .argument('<address>', 'the account, such as github/work')
    .addHelpText('after', examples('reconnect github/work', 'reconnect openai --key-stdin < key.txt'))
    .action(async (account: string, options: Options) => {
      const address = writtenAddress(account)
      const begin = (desk: Desk, request: ConnectRequest) => desk.reconnect(address, request)
      await signIn(run, { command: `valetkey reconnect ${address}`, verb: 'reconnected', begin }, options)
    })
}

export const rotate: Shape = (command, run) => {
  signInOptions(command)
    .argument('<address>', 'the account, such as openai')
    .option('--every <time>', 'do it, or say when it is time, as often as this, such as 90d')
    .option('--never', 'only when somebody wants it')
    .addHelpText('after', examples('rotate openai --key-stdin < new-key.txt', 'rotate openai --every 90d'))
    .action(async (account: string, { every, never, ...options }: Options & Rule) => {
      const address = writtenAddress(account)
      if (every !== undefined && never) throw usage('every so often, or never?', 'one of the two')
      if (never) return rotateEvery(run, address, null)
      if (every !== undefined) return rotateEvery(run, address, wholeDays(every))
      const begin = (desk: Desk, request: ConnectRequest) => desk.rotate(address, request)
      await signIn(run, { command: `valetkey rotate ${address}`, verb: 'rotated', begin }, options)
    })
}

function signInOptions(command: Command): Command {
  return command
    .option('--key-stdin', 'read the secret from standard input; several as lines of name=value')
    .option(
      '--field <name=value>',
      'a field that is no secret, or says where one is read, such as key=op://vault/item/field',
      collect,
    )
    .option('--var <name=value>', "a part of the provider's address, such as site=datadoghq.eu", collect)
    .option('--flow <flow>', 'which way in, as valetkey providers lists them')
    .option('--scope <names>', 'what else to ask for, such as repo,gist', collect)
    .option('--insist', 'keep it even if it could not be proved')
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}

interface Rule {
  readonly every?: string
  readonly never?: true
}

async function rotateEvery(run: Run, address: string, days: number | null): Promise<void> {
  const { terminal, json, now } = run
  const { desk } = await run.reach()
  const account = await desk.rotateEvery(address, days)
  if (json) return terminal.document(account)
  if (account.rotateAt === null) return terminal.answer(`${address} is rotated only when you want it`)
  const isDue = Date.parse(account.rotateAt) <= now().getTime()
  await terminal.answer(
    `${address} is due to be rotated ${isDue ? 'now' : relative(account.rotateAt, now())}`,
  )
}

function wholeDays(text: string): number {
  const days = duration(text) / DAY_MS
  if (Number.isInteger(days) && days <= 3650) return days
  throw usage(`${quoted(text)} is not a number of whole days`, 'write it as 90d or 12w')
}

interface SignIn {
  readonly command: string
  readonly verb: string
  begin(desk: Desk, request: ConnectRequest): Promise<FlowSession>
}

async function connectTo(run: Run, account: string, options: Options): Promise<void> {
  const { provider, bucket } = addressOf(account)
  const command = `valetkey connect ${formatAddress({ provider, bucket })}`
  const begin = (desk: Desk, request: ConnectRequest) =>
    suggestingProvider(desk, provider, () =>
      desk.connect({ ...here(run, options, request), provider, bucket }),
    )
  await signIn(run, { command, verb: 'connected', begin }, options)
}

/** What decides which way comes first, where nobody said which. */
function here({ hasBrowser }: Run, { keyStdin, field }: Options, request: ConnectRequest): ConnectRequest {
  if (request.flow !== undefined) return request
  const refers = Object.values(pairs(field, '--field')).some(isReference)
  if (keyStdin || refers) return { ...request, bringsKey: true }
  return hasBrowser ? request : { ...request, noBrowser: true }
}

/** Of the address of its MCP server a provider is made, under the name that is wished or one of its host's. */
async function connectByLink(run: Run, link: string, { name, ...options }: Options): Promise<void> {
  const wished = name === undefined ? undefined : addressOf(name)
  const named = wished && { as: wished.provider, bucket: wished.bucket }
  const begin = (desk: Desk, request: ConnectRequest) =>
    desk.connect({ ...request, ...named, provider: link })
  const { account } = await signIn(
    run,
    { command: `valetkey connect ${link}`, verb: 'connected', begin },
    options,
  )
  if (run.json || account === null) return
  const address = formatAddress({ provider: account.providerId, bucket: account.bucket })
  await run.terminal.note(`  next: an agent reaches it by the command valetkey mcp ${address}`)
}

/** The shape of the pasted key says whose it is. */
async function connectByKey(run: Run, options: Options): Promise<void> {
  const begin = (desk: Desk, request: ConnectRequest) => desk.connect(request)
  await signIn(run, { command: 'valetkey connect', verb: 'connected', begin }, options)
}

const PASTE = 'paste a key, and let it name its provider'
const LINK = 'give the address of an MCP server'

async function choose(run: Run, options: Options): Promise<void> {
  const { desk } = await run.reach()
  const cards = await desk.providers()
  if (run.terminal.interactive) {
    const named = new Map(cards.map((card) => [labelOf(card), card.id]))
    const { prompts } = run.terminal
    const choices = [PASTE, LINK, ...named.keys()]
    const chosen = await prompts.choice({ message: 'connect what?', choices })
    if (chosen === LINK)
      return connectByLink(run, whole(await prompts.text({ message: 'its address' })), options)
    const provider = named.get(chosen)
    return provider === undefined ? connectByKey(run, options) : connectTo(run, provider, options)
  }
  if (!run.json) await listProviders(run, cards)
  throw usage('connect what? no provider was named', 'valetkey connect openai --key-stdin < key.txt')
}

/** What a person leaves out of an address. */
function whole(link: string): string {
  return link.includes('://') ? link.trim() : `https://${link.trim()}`
}

function labelOf(card: ProviderCard): string {
  return card.needs === 'nothing' ? card.id : `${card.id} (needs ${needsOf(card)})`
}

/** What fails is tried another way, where there is one and whoever sits here wants that. */
async function signIn(run: Run, what: SignIn, options: Options): Promise<FlowSession> {
  try {
    return await signInOnce(run, what, options)
  } catch (error) {
    if (!(error instanceof ValetkeyError) || error.instead === null) throw error
    const { flow, label } = error.instead
    if (run.json || !run.terminal.interactive) throw orElse(error, `${what.command} --flow ${flow}`)
    const isTried = await run.terminal.prompts.confirm({ message: `${error.message}; try ${label} instead?` })
    if (!isTried) throw orElse(error, `${what.command} --flow ${flow}`)
    const { field: _, ...others } = options
    return signIn(run, what, { ...others, flow })
  }
}

async function signInOnce(
  run: Run,
  { verb, begin, ...what }: SignIn,
  options: Options,
): Promise<FlowSession> {
  const command = options.flow === undefined ? what.command : `${what.command} --flow ${options.flow}`
  const open = pairs(options.field, '--field')
  const request = requestOf(options)
  const session = await untilInterrupted(run, async (stop) => {
    const secret = options.keyStdin && !run.terminal.interactive ? await inputOf(run, stop.or) : undefined
    const { desk } = await stop.or(run.reach())
    return walk({ run, desk, stop, command }, () => begin(desk, request), { open, secret })
  })
  await tell(run, session, verb)
  return session
}

async function inputOf(run: Run, or: <T>(promise: Promise<T>) => Promise<T>): Promise<string> {
  try {
    return await or(run.terminal.input())
  } finally {
    run.terminal.stdin.destroy()
  }
}

function requestOf({ flow, insist, var: vars, scope }: Options): ConnectRequest {
  const scopes = scope?.flatMap((names) => names.split(',')).map((name) => name.trim())
  const values = pairs(vars, '--var')
  if (Object.values(values).some(looksLikeKey)) throw keyInArgv()
  return {
    ...(flow !== undefined && { flow }),
    ...(insist && { insist }),
    ...(vars !== undefined && { vars: values }),
    ...(scopes !== undefined && { scopes: scopes.filter((name) => name !== '') }),
  }
}

function pairs(texts: readonly string[] | undefined, option: string): Record<string, string> {
  return Object.fromEntries((texts ?? []).map((text) => pairOf(text, option)))
}

/** What came of it. */
export async function tell(run: Run, session: FlowSession, verb: string): Promise<void> {
  const { terminal, json } = run
  if (json) return terminal.document(session)
  const { account, receipt } = session
  await terminal.answer(account === null ? verb : `${verb} ${inWords(account)}`)
  if (receipt !== null) await printReceipt(run, receipt)
}

function inWords({ providerId: provider, bucket, displayName }: Account): string {
  const address = formatAddress({ provider, bucket })
  return isJustProvider(displayName, provider) ? address : `${address} as ${displayName}`
}

/** An account that is not known by a name of its own bears its provider's. */
function isJustProvider(name: string, provider: string): boolean {
  const letters = (text: string) => text.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
  return letters(name) === letters(provider)
}
