import type { Profile } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import type { Bound } from '../../protocol/dpop.ts'
import { introspected, refuseInactive } from '../../protocol/introspection.ts'
import type { Server } from '../../protocol/server.ts'
import type { Tokens } from '../authorization/credential.ts'
import { standingOf } from '../authorization/server.ts'
import { shown } from './person.ts'

interface Asked {
  readonly server: Server
  readonly bound?: Bound | undefined
}

/** Where nothing else shows that it is alive and whose it is, the server is asked about what it has just issued. */
export async function askedAfter(
  context: FlowContext,
  { server, bound }: Asked,
  { access_token: token }: Tokens,
): Promise<Omit<Profile, 'vars'> | undefined> {
  const { verify, whose } = context.signIn
  if (verify !== undefined || whose !== undefined) return undefined
  const { oauth, client } = standingOf(context)
  const said = await introspected({ ...context, server, client, oauth, bound }, token)
  refuseInactive(said)
  return said && { subject: said.subject, displayName: shown(said.username) ?? null }
}
