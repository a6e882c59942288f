import { parseAddress, ValetkeyError } from '#client'
import type { ConnectRequest, FlowSession } from '../../../../model/words.ts'
import { accountsOf, formatAddressOf } from './keys.ts'
import type { Seat } from './op.ts'

type Wanted = Pick<ConnectRequest, 'fields' | 'insist'>

/** The sign-ins of a provider, one way after the other, for whoever knows what they want of one. */
export async function* begunBy(
  seat: Seat,
  address: string,
  wanted: Wanted,
): AsyncGenerator<FlowSession, void, void> {
  const { provider = '', bucket } = parseAddress(address) ?? {}
  const isThere = (await accountsOf(seat)).some((one) => formatAddressOf(one) === address)
  for (const flow of await flowsOf(seat, provider)) {
    const how = { ...(flow !== undefined && { flow }), ...wanted }
    const begun = isThere
      ? seat.desk.reconnect(address, how)
      : seat.desk.connect({ provider, ...(bucket !== undefined && { bucket }), ...how })
    const session = await begun.catch(unlessOtherFields)
    if (session !== undefined) yield session
  }
}

/** Where there is none it is asked for all the same: who may not know that hears first that they may not. */
async function flowsOf({ desk }: Seat, provider: string): Promise<readonly (string | undefined)[]> {
  const cards = await desk.providers()
  const flows = cards.find(({ id }) => id === provider)?.flows ?? []
  return flows.length > 0 ? flows : [undefined]
}

/** This way has no use for what is known beforehand. */
function unlessOtherFields(error: unknown): undefined {
  if (!(error instanceof ValetkeyError) || error.code !== 'invalid-request') throw error
}
