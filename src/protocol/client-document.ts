import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { Network } from '../model/network.ts'
import { ask, refuseTrouble } from './ask.ts'
import { isSafe } from './server.ts'
import { strictObject } from './strict-json.ts'

const documentSchema = z.object({
  client_id: z.string(),
  client_name: z.string().min(1),
  redirect_uris: z.array(z.string()).min(1),
})

const LOOPBACK = /^http:\/\/(127\.0\.0\.1|localhost)(:\d{1,5})?\//

/**
 * Reads the document that describes a client whose id is the document's own address. It is public, and
 * says to every server where codes may go; without an address on this computer it is of no use here.
 */
export async function readClientDocument(
  network: Network,
  clientId: string,
): Promise<{ readonly redirectUri: string }> {
  const url = URL.parse(clientId)
  if (url === null || !isSafe(clientId) || url.pathname === '/' || url.href !== clientId)
    throw refused('the id of such a client is the https address of its document, with a path')
  const answer = await ask(network, url)
  refuseTrouble(answer)
  if (answer.status !== 200) throw refused(`there is no document, but an answer of ${answer.status}`)
  const read = documentSchema.safeParse(strictObject(answer.text))
  if (!read.success) throw refused(`the document has no usable ${read.error.issues[0]?.path.join('.')}`)
  if (read.data.client_id !== clientId) throw refused('the document is that of another client')
  const redirectUri = read.data.redirect_uris.find((uri) => LOOPBACK.test(uri))
  if (redirectUri === undefined) throw refused('the document names no address on loopback to come back to')
  return { redirectUri }
}

function refused(message: string): ValetkeyError {
  return new ValetkeyError('invalid-request', message, {
    hint: 'such as https://example.com/oauth/client.json',
  })
}
