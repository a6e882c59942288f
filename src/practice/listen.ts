import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ValetkeyError } from '#client'

export interface Listening {
  readonly server: Server
  readonly origin: URL
  close(): Promise<void>
}

/** On loopback and nowhere else. Port 0 is any free one. */
export async function listen(port: number): Promise<Listening> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5000 })
  server.listen({ host: '127.0.0.1', port, exclusive: true })
  try {
    await once(server, 'listening')
  } catch (cause) {
    throw new ValetkeyError('port-taken', `the practice provider cannot have port ${port}`, {
      hint: 'end what holds it, or choose another port',
      cause,
    })
  }
  const { port: given } = server.address() as AddressInfo
  return { server, origin: new URL(`http://127.0.0.1:${given}`), close: () => close(server) }
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
