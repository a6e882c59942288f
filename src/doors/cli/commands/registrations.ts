import type { Desk, ProviderCard, Registered, RegisterRequest } from '#client'
import { examples } from '../examples.ts'
import { usage } from '../failure.ts'
import { guideLines } from '../own-client.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { relative } from '../when.ts'
import { addressOf, pairOf, unknownProvider } from '../words.ts'
import { lineOfReceipt } from './receipt.ts'

interface Options {
  readonly clientId?: string
  readonly secretStdin?: true
  readonly var?: readonly string[]
  readonly insist?: true
}

export const register: Shape = (command, run) => {
  command
    .argument('<provider>', 'such as github')
    .option('--client-id <id>', 'as the provider shows it')
    .option('--secret-stdin', 'read its secret from standard input; a public client has none')
    .option('--var <name=value>', 'which server it is for, such as issuer=login.example.com', collect)
    .option('--insist', 'keep it even if the provider does not know it')
    .addHelpText(
      'after',
      examples(
        'register github --client-id Ov23li… --secret-stdin < secret.txt',
        'register oidc --var issuer=login.example.com --client-id valetkey',
      ),
    )
    .action(async (name: string, options: Options) => {
      const { desk } = await run.reach()
      const card = await cardOf(desk, addressOf(name).provider)
      const registered = await desk.register(await requestOf(run, card, options))
      if (run.json) return run.terminal.document(registered)
      await tell(run, card, registered)
    })
}

export const unregister: Shape = (command, run) => {
  command
    .argument('<id>', 'as valetkey registrations lists it')
    .option('-y, --yes', 'although accounts cannot be renewed without it')
    .addHelpText('after', examples('unregister reg-7f3a', 'unregister reg-7f3a --yes'))
    .action(async (id: string, { yes }: { yes?: true }) => {
      const { desk } = await run.reach()
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

async function cardOf(desk: Desk, id: string): Promise<ProviderCard> {
  const cards = await desk.providers()
  const found = cards.find((card) => card.id === id)
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
  const clientSecret = await secretOf(run, options)
  return {
    provider: card.id,
    clientId,
    ...(clientSecret && { clientSecret }),
    ...(Object.keys(vars).length > 0 && { vars }),
    ...(options.insist && { insist: true }),
  }
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

async function secretOf({ terminal }: Run, { secretStdin }: Options): Promise<string | undefined> {
  if (terminal.interactive)
    return terminal.prompts.secret({ message: 'client secret, if it has one', optional: true })
  if (!secretStdin) return undefined
  const secret = (await terminal.input()).trim()
  if (secret === '') throw usage('nothing came on standard input', 'give the secret there: … < secret.txt')
  return secret
}

async function tell({ terminal }: Run, { id, name, ownClient }: ProviderCard, { checked }: Registered) {
  await terminal.answer(`registered a client at ${id}`)
  if (!checked) await terminal.note('not checked: the first sign-in shows whether it is right')
  else await terminal.note(`${name} knows it`)
  await terminal.note(`  next: valetkey connect ${id}${ownClient ? ` --flow ${ownClient.flow}` : ''}`)
}
