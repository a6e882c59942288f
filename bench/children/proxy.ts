import { createServer } from 'node:http'
import { Agent, stream } from 'undici'

/** The least that a gateway can do: the same request to another address, and the answer streamed back. */
const [path = '', target = ''] = process.argv.slice(2)
const dispatcher = new Agent({ connections: 64 })
const NONE = new Set(['connection', 'host', 'keep-alive', 'transfer-encoding'])

const server = createServer((request, response) => {
  const headers = Object.entries(request.headers).filter(([name]) => !NONE.has(name))
  const asked = {
    method: request.method ?? 'GET',
    headers: Object.fromEntries(headers),
    dispatcher,
    opaque: response,
  }
  stream(`${target}${request.url}`, asked, ({ statusCode, headers: answered, opaque }) => {
    const kept = Object.entries(answered).filter(([name]) => !NONE.has(name))
    return opaque.writeHead(statusCode, Object.fromEntries(kept) as Record<string, string>)
  }).catch(() => response.destroy())
})
server.keepAliveTimeout = 60_000
server.listen(path, () => process.send?.('listening'))
process.on('disconnect', () => process.exit())
