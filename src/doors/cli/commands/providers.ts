import type { Programs, ProviderCard } from '#client'
import { examples } from '../examples.ts'
import { guideLines } from '../own-client.ts'
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
  const rows = cards.map((card) => [card.id, card.name, card.category, card.flows.join(', '), needsOf(card)])
  await terminal.columns(['provider', 'name', 'what for', 'ways in', 'needs'], rows)
}

/** What has to be there beforehand, in words. */
export function needsOf({ needs, ownClient }: ProviderCard): string {
  if (needs === 'nothing') return 'nothing'
  const minutes = ownClient?.minutes
  return minutes ? `a client of your own, ${minutes} min` : 'a client of your own'
}

/** Where programs look for it. */
function variablesOf({ token, fields, baseUrl, key }: Programs): readonly string[] {
  const all = [...token, ...Object.values(fields).flat(), ...(baseUrl?.variables ?? []), ...key]
  return [...new Set(all)]
}

async function showProvider({ terminal, json }: Run, card: ProviderCard): Promise<void> {
  if (json) return terminal.document(card)
  const { id, name, category, flows, hosts, programs, from } = card
  const rows = [
    ['name', name],
    ['what for', category],
    ['ways in', flows.join(', ')],
    ['goes to', hosts.join(', ')],
    ...(programs === null ? [] : [['programs', variablesOf(programs).join(', ')]]),
    ['described', from === 'yours' ? 'in a file of yours' : 'by valetkey'],
  ]
  await terminal.columns(['provider', id], rows)
  if (card.ownClient !== null) await terminal.note(...guideLines(card.ownClient))
  const { needs, ownClient } = card
  const next = needs === 'own-client' && ownClient ? `register ${id} --client-id …` : `connect ${id}`
  await terminal.note(`  next: valetkey ${next}`)
}
