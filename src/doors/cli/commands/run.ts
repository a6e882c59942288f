import { type Desk, type Grant, type Lent, type ProviderCard, ValetkeyError } from '#client'
import { runChild } from '../child.ts'
import { examples } from '../examples.ts'
import { usage } from '../failure.ts'
import { type LimitWords, limitOptions, readLimits } from '../grants.ts'
import type { Shape } from '../shape.ts'
import { surroundings } from '../surroundings.ts'
import {
  inOne,
  type Naming,
  namingOf,
  refuseUnknownGateway,
  refuseUnknownToken,
  variablesOfGateway,
  variablesOfLent,
} from '../variables.ts'
import { relative } from '../when.ts'
import { addressOf, unknownProvider, writtenAddress } from '../words.ts'
import { nameOf, withSocket } from './sandbox.ts'

interface Options extends LimitWords {
  readonly with?: readonly string[]
  readonly forward?: readonly string[]
  readonly reveal?: readonly string[]
  readonly env?: readonly string[]
  readonly url?: readonly string[]
  readonly mask: boolean
}

export const run: Shape = (command, here) => {
  command.usage('[options] -- <program...>').argument('<program...>', 'what to run, and its words')
  command
    .option('--with <address>', 'lend it a token, which soon dies', each)
    .option('--forward <address>', 'have its requests done for it: it gets no secret at all', each)
    .option('--reveal <address>', 'hand it a secret that never dies by itself', each)
    .option('--env <NAME=address>', 'another variable for the token or the key of an account', each)
    .option('--url <NAME=address>', 'another variable for where the requests of --forward go', each)
    .option('--no-mask', 'leave alone what it says; secrets in it are masked otherwise')
  limitOptions(command)
    .addHelpText(
      'after',
      examples('run --forward openai -- python agent.py', 'run --with github -- gh pr list'),
    )
    .addHelpText('after', NOTES)
    .action(async (words: [string, ...string[]], options: Options) => {
      const grants = grantsOf(options)
      const { desk, gateway } = await here.reach()
      const addresses = grants.map(({ address }) => address)
      const cards = await desk.providers()
      const naming = namingOf(cards, addresses, options)
      const wishes = grants.map((grant) => ({ ...grant, naming: naming(grant.address) }))
      refuseUnknown(wishes, cards)
      const name = nameOf(words[0])
      await withSocket(desk, { name, grants }, async (socket) => {
        const at = await here.reachAt(socket)
        const got = await Promise.all(wishes.map((wish) => given(wish, { desk: at.desk, gateway, name })))
        const variables = inOne(got.flatMap((one) => one.variables))
        await here.terminal.note(...got.flatMap(({ lent }) => (lent ? [inWords(lent, here.now())] : [])))
        const secrets = options.mask ? got.flatMap(secretsOf) : []
        await runChild(here, { words, env: surroundings(here.env, socket, variables), secrets })
      })
    })
}

const NOTES = `
prefer --forward for what runs long: its key is good until the program ends, while a lent token dies
on its way, as is said at the start. "valetkey lend" gives the program another one.
what was lent or revealed is masked in what the program says; for that it speaks into a pipe and not
to the terminal. A program that needs the terminal wants --forward, or --no-mask.`

/** One account, and the one way in which the program has it. */
interface Wish extends Grant {
  readonly naming: Naming
}

function grantsOf({ with: lent = [], forward = [], reveal = [], ...words }: Options): Grant[] {
  const limits = readLimits(words)
  const grants = [
    ...lent.map((text): Grant => ({ address: writtenAddress(text), may: ['lend'] })),
    ...forward.map((text): Grant => ({ address: writtenAddress(text), may: ['forward'] })),
    ...reveal.map((text): Grant => ({ address: writtenAddress(text), may: ['reveal'] })),
  ]
  if (grants.length === 0)
    throw usage('no account is named', 'add --forward, --with or --reveal; or use valetkey sandbox')
  const [twice] = [...Map.groupBy(grants, ({ address }) => address)].filter(([, all]) => all.length > 1)
  if (twice) throw usage(`${twice[0]} is named twice`, 'say one way for each account')
  return grants.map((grant) => ({ ...grant, ...(limits !== undefined && { limits }) }))
}

function refuseUnknown(wishes: readonly Wish[], cards: readonly ProviderCard[]): void {
  const known = cards.map(({ id }) => id)
  for (const { address, naming, may } of wishes) {
    const { provider } = addressOf(address)
    const isNamed = naming.secret.length > 0 || naming.url.length > 0
    if (!isNamed && !known.includes(provider)) throw unknownProvider(provider, known)
    if (may.includes('forward')) refuseUnknownGateway(naming)
    else refuseUnknownToken(naming)
  }
}

interface Given {
  readonly variables: readonly (readonly [string, string])[]
  readonly lent?: Lent
}

interface Source {
  /** That of the program itself, so that all it is given ends with it. */
  readonly desk: Desk
  readonly gateway: (() => Promise<string>) | undefined
  readonly name: string
}

async function given({ address, may, naming }: Wish, { desk, gateway, name }: Source): Promise<Given> {
  if (!may.includes('forward')) {
    const lent = await (may.includes('reveal') ? desk.reveal({ address }) : lendBy(desk, address))
    return { lent, variables: variablesOfLent(naming, lent) }
  }
  const [origin, { secret }] = await Promise.all([
    gateway?.(),
    desk.narrow({ kind: 'key', name, grants: [{ address, may: ['forward'] }] }),
  ])
  if (origin !== undefined && secret !== null)
    return { variables: variablesOfGateway(naming, origin, secret) }
  throw new ValetkeyError('broker-gone', 'no port is open to keys', { hint: 'valetkey serve' })
}

async function lendBy(desk: Desk, address: string): Promise<Lent> {
  try {
    return await desk.lend({ address })
  } catch (error) {
    if (!(error instanceof ValetkeyError && error.code === 'forward-only')) throw error
    const hint = `--forward ${address}; or --reveal ${address}, to hand it over all the same`
    throw new ValetkeyError(error.code, error.message, { hint })
  }
}

/** Where something was lent. A key of ours alone is of no use elsewhere, and over with the program. */
function secretsOf({ lent }: Given): readonly string[] {
  return lent === undefined ? [] : [lent.token, ...Object.values(lent.fields)]
}

function inWords({ lease: { address, verb }, expiresAt }: Lent, now: Date): string {
  if (verb === 'reveal') return `revealed ${address}: it never dies by itself`
  return expiresAt === null
    ? `lent ${address}: its provider does not say until when`
    : `lent ${address}: it dies ${relative(expiresAt, now)}, at ${expiresAt}`
}

function each(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}
