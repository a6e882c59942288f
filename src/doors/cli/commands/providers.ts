import type { ProviderCard } from '#client'
import { examples } from '../examples.ts'
import type { Run } from '../run.ts'
import type { Shape } from '../shape.ts'
import { addressOf, unknownProvider } from '../words.ts'

export const providers: Shape = (command, run) => {
  command
    .argument('[id]', 'one of them alone')
    .addHelpText('after', examples('providers', 'providers datadog'))
    .action(async (id: string | undefined) => {
      const { desk } = await run.reach()
      const cards = await desk.providers()
      if (id === undefined) return listProviders(run, cards)
      const { provider } = addressOf(id)
      const card = cards.find((one) => one.id === provider)
      if (card === undefined)
        throw unknownProvider(
          provider,
          cards.map((one) => one.id),
        )
      await showProvider(run, card)
    })
}

export async function listProviders({ terminal, json }: Run, cards: readonly ProviderCard[]): Promise<void> {
  if (json) return terminal.document(cards)
  const rows = cards.map(({ id, name, category, flows }) => [id, name, category, flows.join(', ')])
  await terminal.columns(['provider', 'name', 'what for', 'ways in'], rows)
}

async function showProvider({ terminal, json }: Run, card: ProviderCard): Promise<void> {
  if (json) return terminal.document(card)
  const { id, name, category, flows, hosts, from } = card
  const rows = [
    ['name', name],
    ['what for', category],
    ['ways in', flows.join(', ')],
    ['goes to', hosts.join(', ')],
    ['described', from === 'yours' ? 'in a file of yours' : 'by valetkey'],
  ]
  await terminal.columns(['provider', id], rows)
  await terminal.note(`  next: valetkey connect ${id}`)
}
