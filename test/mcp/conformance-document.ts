import type dns from 'node:dns'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { NetworkOptions } from '../../src/network/network.ts'
import { authority } from '../../src/testing/certificates.ts'

/** The suite knows our document by this name, which nobody has. */
const HOST = 'conformance-test.local'
const PATH = '/client-metadata.json'

export interface ClientDocument {
  /** Where it is, as a client's id. */
  readonly url: string
  /** Whose certificate it shows. */
  readonly ca: string
  close(): void
}

/** The document that describes our client, served over https on this computer. */
export async function serveDocument(): Promise<ClientDocument> {
  const ours = authority()
  let url = ''
  const server = createServer(ours.issue({ hosts: [HOST] }), (_, answer) => {
    answer.setHeader('content-type', 'application/json')
    answer.end(
      JSON.stringify({
        client_id: url,
        client_name: 'Valetkey',
        redirect_uris: ['http://127.0.0.1/oauth/callback'],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'none',
      }),
    )
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  url = `https://${HOST}:${(server.address() as AddressInfo).port}${PATH}`
  return { url, ca: ours.cert, close: () => void server.close() }
}

/** How a process that was told of it finds it. */
export function documentLimits(): Pick<NetworkOptions, 'ca' | 'lookup'> {
  const file = process.env['VALETKEY_CONFORMANCE_CA']
  if (file === undefined) return {}
  const lookup = (_: string, __: unknown, found: (error: null, address: unknown) => void) =>
    found(null, [{ address: '127.0.0.1', family: 4 }])
  return { ca: [readFileSync(file, 'utf8')], lookup: lookup as typeof dns.lookup }
}
