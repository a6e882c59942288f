import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ValetkeyError } from '#client'
import type { RedirectWish } from '../model/callbacks.ts'
import { errnoOf } from './disk-trouble.ts'
import { holderOfPort, REFUSED_BY_BROWSERS } from './ports.ts'

const TRIES = 20

/** A port on loopback, on every family that its name may lead to. */
export interface Place {
  readonly port: number
  close(): Promise<void>
}

type Wish = Pick<RedirectWish, 'host' | 'port'>

/** `localhost` may lead to either family, so there we hold both: a stranger on the other one would get the code. */
export async function openPlace({ host, port }: Wish, receive: RequestListener): Promise<Place> {
  const families = host === 'localhost' ? ['127.0.0.1', '::1'] : ['127.0.0.1']
  for (let tries = 0; tries < TRIES; tries += 1) {
    const servers: Server[] = []
    try {
      for (const family of families)
        servers.push(...(await listenOn(family, port ?? portOf(servers), receive)))
      if (!REFUSED_BY_BROWSERS.has(portOf(servers)))
        return { port: portOf(servers), close: () => closeAll(servers) }
      await closeAll(servers)
    } catch (cause) {
      // Ours first: else we would be named as the holder of it.
      await closeAll(servers)
      if (port !== undefined) throw await portTaken(port, cause)
    }
  }
  throw new ValetkeyError('port-taken', 'no free port was found for the browser to come back to', {
    hint: 'try again',
  })
}

/** Where a computer has no such family, nobody else can be there either. */
async function listenOn(address: string, port: number, receive: RequestListener): Promise<readonly Server[]> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5000 }, receive)
  server.listen({ host: address, port, exclusive: true })
  try {
    await once(server, 'listening')
    return [server]
  } catch (error) {
    const code = errnoOf(error)
    if (address === '::1' && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) return []
    throw error
  }
}

async function closeAll(servers: readonly Server[]): Promise<void> {
  for (const server of servers) {
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
}

/** Zero, any free port, before the first is taken. */
function portOf([first]: readonly Server[]): number {
  return first === undefined ? 0 : (first.address() as AddressInfo).port
}

async function portTaken(port: number, cause: unknown): Promise<ValetkeyError> {
  const holder = (await holderOfPort(port)) ?? 'another program'
  return new ValetkeyError(
    'port-taken',
    `${holder} holds port ${port}, where the browser has to come back to`,
    { hint: 'end it, then try again', cause },
  )
}
