import type { Desk, ProviderCard, Registered, RegisterRequest } from '#client'
import { examples } from '../examples.ts'
import { usage } from '../failure.ts'
import { guideLines } from '../own-client.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { relative } from '../when.ts'
import { addressOf, pairOf, quoted, unknownProvider } from '../words.ts'
import { lineOfReceipt } from './receipt.ts'

interface Options {
  readonly clientId?: string
  readonly secretStdin?: true
  readonly privateKeyStdin?: true
  readonly var?: readonly string[]
  readonly insist?: true
  readonly authorize?: string
  readonly token?: string
}

export const register: Shape = (command, run) => {
  command
    .argument('<provider>', 'such as github')
    .option('--client-id <id>', 'as the provider shows it')
    .option('--secret-stdin', 'read its secret from standard input; a public client has none')
    .option(
      '--private-key-stdin',
      'read from there the private key it signs with; with its certificate where it shows one (PEM, both in one)',
    )
    .option('--var <name=value>', 'which server it is for, such as issuer=login.example.com', collect)
    .option('--authorize <address>', 'where it signs in, where that is a server of your own; with --token')
    .option('--token <address>', 'where it is given its tokens there')
    .option('--insist', 'keep it even if the provider does not know it')
    .addHelpText(
      'after',
      examples(
        'register github --client-id Ov23li… --secret-stdin < secret.txt',
        'register oidc --var issuer=login.example.com --client-id valetkey --private-key-stdin < key.pem',
      ),
    )
    .action(async (name: string, options: Options) => {
      const { desk } = await run.reach()
      const card = await cardOf(desk, addressOf(name).provider)
      const registered = await desk.register(await requestOf(run, card, options))
      if (run.json) return run.terminal.document(registered)
      await tell(run, card, registered, options.authorize !== undefined)
    })
}

export const unregister: Shape = (command, run) => {
  command
    .argument('<id>', 'as valetkey registrations lists it, or a provider that has one alone')
    .option('-y, --yes', 'although accounts cannot be renewed without it')
    .addHelpText('after', examples('unregister github', 'unregister reg-7f3a --yes'))
    .action(async (named: string, { yes }: { yes?: true }) => {
      const { desk } = await run.reach()
      const id = await registrationOf(desk, named)
      const line = await desk.unregister(id, yes ? { insist: true } : {})
      if (run.json) return run.terminal.document(line)
      await run.terminal.answer(`unregistered ${id}`, lineOfReceipt(line))
    })
}

export const registrations: Shape = (command, run) => {
  command.addHelpText('after', examples('registrations', 'registrations --json')).action(async () => {
    const { terminal } = run
    const { desk } = await run.reach()
    const found = await desk.registrations()
    if (run.json) return terminal.document(found)
    if (found.length === 0)
      return terminal.note(
        'no registrations yet',
        '  hint: valetkey register github --client-id … --secret-stdin < secret.txt',
      )
    await terminal.columns(
      ['id', 'provider', 'how', 'client', 'at', 'since'],
      found.map(({ id, provider, how, clientId, issuer, createdAt }) => {
        return [id, provider, how, clientId, issuer, relative(createdAt, run.now())]
      }),
    )
    for (const { provider, trouble } of found)
      if (trouble !== null)
        await terminal.note(
          `! ${provider}: ${trouble}`,
          `  hint: valetkey register ${provider} --client-id …`,
        )
  })
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}

/** Its id, where it was named by its provider; what is neither is for the broker to refuse. */
async function registrationOf(desk: Desk, named: string): Promise<string> {
  const found = await desk.registrations()
  if (found.some(({ id }) => id === named)) return named
  const card = cardIn(await desk.providers(), named)
  const ids = found.filter(({ provider }) => provider === card?.id).map(({ id }) => id)
  const [only] = ids
  if (ids.length > 1)
    throw usage(
      `which of them? ${named} has ${ids.length} registrations`,
      `valetkey unregister ${ids.join(' or ')}`,
    )
  return only ?? named
}

function cardIn(cards: readonly ProviderCard[], id: string): ProviderCard | undefined {
  return cards.find((card) => card.id === id) ?? cards.find(({ aliases }) => aliases.includes(id))
}

async function cardOf(desk: Desk, id: string): Promise<ProviderCard> {
  const cards = await desk.providers()
  const found = cardIn(cards, id)
  if (found !== undefined) return found
  throw unknownProvider(
    id,
    cards.map((card) => card.id),
  )
}

async function requestOf(run: Run, card: ProviderCard, options: Options): Promise<RegisterRequest> {
  const given = Object.fromEntries((options.var ?? []).map((text) => pairOf(text, '--var')))
  const vars = await told(run, card, given)
  const { clientId = await askedId(run, card, vars) } = options
  const proof = await proofOf(run, options)
  return {
    provider: card.id,
    clientId,
    ...proof,
    ...(Object.keys(vars).length > 0 && { vars }),
    ...(options.insist && { insist: true }),
    ...endpointsOf(options),
  }
}

function endpointsOf({ authorize, token }: Options): Pick<RegisterRequest, 'endpoints'> {
  if (authorize === undefined && token === undefined) return {}
  if (authorize === undefined || token === undefined)
    throw usage(
      'a server of your own has two addresses',
      'give both --authorize https://… and --token https://…',
    )
  for (const address of [authorize, token])
    if (!URL.canParse(address)) throw usage(`${quoted(address)} is not an address`, 'write https://…')
  return { endpoints: { authorize, token } }
}

/** Which server it is for, asked where nobody said. */
async function told({ terminal }: Run, { ownClient }: ProviderCard, given: Record<string, string>) {
  const vars = { ...given }
  for (const { name, label, optional } of terminal.interactive ? (ownClient?.asks ?? []) : []) {
    if (Object.hasOwn(vars, name) || optional) continue
    vars[name] = await terminal.prompts.text({ message: label })
  }
  return vars
}

async function askedId(
  { terminal }: Run,
  { id, ownClient }: ProviderCard,
  vars: Record<string, string>,
): Promise<string> {
  if (!terminal.interactive) throw usage('which client? its id is missing', `valetkey providers ${id}`)
  if (ownClient !== null) await terminal.note(...guideLines(ownClient, vars))
  return terminal.prompts.text({ message: 'client id' })
}

type OwnProof = Pick<RegisterRequest, 'clientSecret' | 'privateKey' | 'certificate'>

async function proofOf({ terminal }: Run, { secretStdin, privateKeyStdin }: Options): Promise<OwnProof> {
  if (secretStdin && privateKeyStdin)
    throw usage('a client has a secret or a private key, and not both', 'leave one of the two out')
  if (terminal.interactive && !privateKeyStdin) {
    const typed = await terminal.prompts.secret({ message: 'client secret, if it has one', optional: true })
    return typed ? { clientSecret: typed } : {}
  }
  if (!secretStdin && !privateKeyStdin) return {}
  const given = (await terminal.input()).trim()
  if (given === '') throw usage('nothing came on standard input', 'give it there: … < secret.txt')
  return secretStdin ? { clientSecret: given } : keyIn(given)
}

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----\s*/g

/** A key by itself, or beside the certificate that it is for. */
function keyIn(pem: string): OwnProof {
  const certificate = (pem.match(CERTIFICATES) ?? []).join('')
  const privateKey = pem.replace(CERTIFICATES, '').trim()
  return { privateKey, ...(certificate !== '' && { certificate }) }
}

async function tell(run: Run, card: ProviderCard, { checked }: Registered, isElsewhere: boolean) {
  const { terminal } = run
  const { id, name } = card
  const flow = isElsewhere ? browserWay(card) : firstWay(run, card)
  await terminal.answer(`registered a client at ${id}`)
  if (!checked) await terminal.note('not checked: the first sign-in shows whether it is right')
  else await terminal.note(`${name} knows it`)
  await terminal.note(`  next: valetkey connect ${id}${flow === undefined ? '' : ` --flow ${flow}`}`)
}

/** A client at a server of one's own is for the browser alone. */
function browserWay({ ways, ownClient }: ProviderCard): string | undefined {
  return ownClient?.flow ?? ways.find(({ scopes }) => scopes.length > 0)?.flow
}

/** The first that can work here: the ways that ask for scopes are those that a client is for. */
function firstWay({ hasBrowser }: Run, card: ProviderCard): string | undefined {
  const first = card.ways.find(
    ({ flow, scopes, tried }) =>
      scopes.length > 0 && tried !== 'not-here' && (hasBrowser || flow !== card.ownClient?.flow),
  )
  return first?.flow ?? browserWay(card)
}
