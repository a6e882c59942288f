import { ValetkeyError } from '#client'
import type { Client } from '../../model/flow.ts'
import type { Provider } from '../../model/provider.ts'
import { knowsClient } from '../../protocol/client-check.ts'
import { readClientDocument } from '../../protocol/client-document.ts'
import { findServer } from '../../protocol/discovery.ts'
import type { Kit } from '../kit.ts'
import { filledIn, isOpen, ownRedirect } from '../sign-ins/redirects.ts'
import type { Terms } from './clients.ts'

type Vars = Readonly<Record<string, string>>

/** What a provider said to a client of the person's own, as far as it could be asked. */
interface Finding {
  readonly proved: boolean
  readonly refused?: ValetkeyError
}

/** Asks the token endpoint, where it is known which one that is. Trouble on the way refuses nobody. */
export async function clientTrouble(
  kit: Kit,
  provider: Provider,
  vars: Vars,
  client: Client,
): Promise<Finding> {
  const { oauth, name } = provider
  const at = kit.catalogue.authority(provider, vars)
  const signIn = provider.signIns.find(({ flow }) => kit.flows.get(flow)?.comesBack)
  if (!oauth || !at || !signIn || !isOneServer(provider, vars)) return { proved: false }
  const redirectUri = filledIn(ownRedirect(provider, signIn), provider, vars)
  try {
    const server = await findServer(kit.network, oauth, at, { found: new Map(), now: kit.now })
    const use = { server, client, oauth, network: kit.network, now: kit.now }
    const knows = await knowsClient(use, { answers: oauth.answers, redirectUri })
    return knows === false ? { proved: false, refused: unknown(name, client) } : { proved: knows === true }
  } catch {
    return { proved: false }
  }
}

/** Of a client that is described by a document, that document; undefined where the provider knows no such clients. */
export async function documentOf(
  kit: Kit,
  { registration, name }: Provider,
  { clientId, clientSecret }: Client,
): Promise<Terms | undefined> {
  if (registration !== 'metadata-document') return undefined
  if (clientSecret !== undefined)
    throw new ValetkeyError('invalid-request', `a client of ${name} is a public document, and has no secret`)
  const { redirectUri } = await readClientDocument(kit.network, clientId)
  return { redirectUri }
}

/** Where a choice decides which server is asked, it has to be made: another one would not know the client. */
function isOneServer({ oauth, vars }: Provider, given: Vars): boolean {
  const link = oauth?.issuer ?? oauth?.token ?? ''
  return vars.every((variable) => {
    const { name, decided } = variable
    return isOpen(variable) || !link.includes(`{${name}}`) || given[decided?.by ?? name] !== undefined
  })
}

function unknown(name: string, { clientSecret }: Client): ValetkeyError {
  const what = clientSecret === undefined ? 'this client without a secret' : 'this client id with this secret'
  return new ValetkeyError('invalid-credentials', `${name} does not know ${what}`, {
    hint: 'copy both once more, or add --insist to keep it all the same',
  })
}
