import type { Programs, ProviderCard, WayIn } from '#client'
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
      const card =
        cards.find((one) => one.id === provider) ?? cards.find((one) => one.aliases.includes(provider))
      if (card === undefined)
        throw unknownProvider(
          provider,
          cards.map((one) => one.id),
        )
      await showProvider(run, card, provider)
    })
}

export async function listProviders({ terminal, json }: Run, cards: readonly ProviderCard[]): Promise<void> {
  if (json) return terminal.document(cards)
  const rows = cards.map((card) => [card.id, card.name, card.category, waysIn(card), needsOf(card)])
  await terminal.columns(['provider', 'name', 'what for', 'ways in', 'needs'], rows)
}

/** In the order in which they are tried; those that have to be asked for only where there are no others. */
function waysIn({ flows, ways }: Pick<ProviderCard, 'flows' | 'ways'>): string {
  const usual = ways.filter(({ tried }) => tried === 'by-itself').map(({ flow }) => flow)
  return (usual.length > 0 ? usual : flows).join(', ')
}

/** The ways that a name means, where it is that of some of them and they are gone here. */
function meantBy(named: string, { ways }: ProviderCard): readonly WayIn[] {
  return ways.filter(({ called, tried }) => called.includes(named) && tried !== 'not-here')
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

async function showProvider({ terminal, json }: Run, card: ProviderCard, named: string): Promise<void> {
  if (json) return terminal.document(card)
  const { id, name, category, aliases, hosts, programs, from } = card
  const meant = meantBy(named, card)
  const ways = meant.length > 0 ? meant : card.ways
  const open = ways.filter(({ tried }) => tried !== 'not-here')
  const scopes = new Set(open.flatMap(({ optionalScopes }) => optionalScopes.map((one) => one.name)))
  const rows = [
    ['name', name],
    ['what for', category],
    ...(aliases.length === 0 ? [] : [['also called', aliases.join(', ')]]),
    ['ways in', meant.length > 0 ? meant.map(({ flow }) => flow).join(', ') : waysIn(card)],
    ...(scopes.size === 0 ? [] : [['--scope', [...scopes].join(', ')]]),
    ['goes to', hosts.join(', ')],
    ...(programs === null ? [] : [['programs', variablesOf(programs).join(', ')]]),
    ['described', from === 'yours' ? 'in a file of yours' : 'by valetkey'],
  ]
  await terminal.columns(['provider', id], rows)
  for (const [notice, of] of Map.groupBy(ways, (way) => way.notice))
    if (notice !== null) await terminal.note(`by ${of.map(({ flow }) => flow).join(' or ')}: ${notice}`)
  if (card.ownClient !== null) await terminal.note(...guideLines(card.ownClient))
  await terminal.note(`  next: valetkey ${nextStep(card, named, meant.length > 0)}`)
}

/** By the name that was typed, unless every way that it means is off here. */
function nextStep({ id, needs, ownClient, ways }: ProviderCard, named: string, isMeant: boolean): string {
  if (needs === 'own-client' && ownClient && !isMeant) return `register ${id} --client-id …`
  const isOff = !isMeant && ways.some(({ called }) => called.includes(named))
  return `connect ${isOff ? id : named}`
}
