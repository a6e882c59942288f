import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

const PIECE_EVERY_MS = 5

/** A provider whose answers go on until whoever asked hangs up. */
export interface Endless {
  readonly origin: string
  readonly requests: readonly { readonly path: string; readonly headers: IncomingHttpHeaders }[]
  /** How many connections are in the middle of such an answer. */
  open(): number
  close(): Promise<void>
}

/** `/endless` goes on and on, `/never` is not answered, and anything else is answered with a few words. */
export async function endlessProvider(): Promise<Endless> {
  const requests: { path: string; headers: IncomingHttpHeaders }[] = []
  let open = 0
  const server = createServer(({ url: path = '/', headers }, response) => {
    requests.push({ path, headers })
    if (path === '/never') return
    response.writeHead(200, { 'content-type': 'application/json' })
    if (path !== '/endless') return void response.end('{"ok":true}')
    open += 1
    const going = setInterval(() => response.write(new Uint8Array(1024)), PIECE_EVERY_MS)
    response.on('close', () => {
      clearInterval(going)
      open -= 1
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    requests,
    open: () => open,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
