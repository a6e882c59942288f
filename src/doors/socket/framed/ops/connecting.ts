import { formatAddress, type ProviderCard, parseAddress, ValetkeyError } from '#client'
import type { ConnectRequest, FlowSession } from '../../../../model/words.ts'
import { inWords } from '../codes.ts'
import { accountsOf, formatAddressOf } from './keys.ts'
import type { Seat } from './op.ts'

type Wanted = Pick<ConnectRequest, 'fields' | 'insist'>

/** The sign-ins of a provider, one way after the other, for whoever knows what they want of one. */
export async function* begunBy(
  seat: Seat,
  address: string,
  wanted: Wanted,
  only?: string,
): AsyncGenerator<FlowSession, void, void> {
  const { provider: named = '', bucket } = parseAddress(address) ?? {}
  const card = cardOf(await seat.desk.providers(), named)
  const there = await thereAlready(seat, { provider: card?.id ?? named, bucket })
  const flows = only === undefined ? flowsOf(card, named) : [only]
  if (there !== undefined) return yield* begunAgain(seat, there, wanted, flows)
  for (const flow of flows) {
    const how = { ...(flow !== undefined && { flow }), ...wanted }
    const place = { provider: named, ...(bucket !== undefined && { bucket }) }
    const session = await seat.desk.connect({ ...place, ...how }).catch(unlessOtherFields)
    if (session !== undefined) yield session
  }
}

/** What is there is signed in to again as it was, and never replaced by a login of another kind. */
async function* begunAgain(
  seat: Seat,
  address: string,
  wanted: Wanted,
  flows: readonly (string | undefined)[],
): AsyncGenerator<FlowSession, void, void> {
  const session = await seat.desk.reconnect(address, wanted).catch(unlessOtherFields)
  if (session !== undefined) {
    if (flows.includes(session.flow) || flows.includes(undefined)) yield session
    else await seat.desk.cancel(session.id).catch(() => undefined)
  }
  if (flows.some((flow) => flow !== session?.flow)) throw anotherWayThere()
}

export function anotherWayThere(): ValetkeyError {
  return inWords(
    new ValetkeyError('conflict', 'it is connected another way'),
    'What is connected there came another way, and stays: name another bucket to have both.',
  )
}

function cardOf(cards: readonly ProviderCard[], named: string): ProviderCard | undefined {
  return cards.find(({ id }) => id === named) ?? cards.find(({ aliases }) => aliases.includes(named))
}

async function thereAlready(
  seat: Seat,
  { provider, bucket = 'default' }: { readonly provider: string; readonly bucket: string | undefined },
): Promise<string | undefined> {
  const address = formatAddress({ provider, bucket })
  return (await accountsOf(seat)).some((one) => one.status !== 'revoked' && formatAddressOf(one) === address)
    ? address
    : undefined
}

/** Where there is none it is asked for all the same: who may not know that hears first that they may not. */
function flowsOf(card: ProviderCard | undefined, named: string): readonly (string | undefined)[] {
  const meant = card?.ways.filter(({ called }) => called.includes(named)).map(({ flow }) => flow) ?? []
  const flows = meant.length > 0 ? meant : (card?.flows ?? [])
  return flows.length > 0 ? flows : [undefined]
}

/** This way has no use for what is known beforehand. */
function unlessOtherFields(error: unknown): undefined {
  if (!(error instanceof ValetkeyError) || error.code !== 'invalid-request') throw error
}
