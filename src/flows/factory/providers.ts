import type { ProviderFile } from '../../model/provider.ts'
import { FACTORY_FLOW } from '../factory.ts'
import { FIELDS } from './shapes.ts'

/** Each gets the way of signing in that was brought along, before those it has. */
export function withFactories(
  files: readonly ProviderFile[],
  ids: readonly string[],
): readonly ProviderFile[] {
  const others = files
    .filter(({ id }) => !ids.includes(id))
    .map((file) => ({ ...file, aliases: file.aliases?.filter((alias) => !ids.includes(alias)) }))
  const theirs = ids.map((id) => withFactory(files.find((file) => file.id === id) ?? unknown(id)))
  return [...others, ...theirs] as readonly ProviderFile[]
}

function withFactory(file: ProviderFile): ProviderFile {
  const redirect = { name: FIELDS.redirect, label: 'Redirect address', secret: false, optional: true }
  // Nobody is asked for it: it is what the sign-in yields.
  const token = { name: 'accessToken', label: 'Access token' }
  const present = [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }]
  return { ...file, signIns: [{ flow: FACTORY_FLOW, fields: [redirect, token], present }, ...file.signIns] }
}

/** Nothing is known of where its tokens may go, so nothing is forwarded with them. */
function unknown(id: string): ProviderFile {
  return {
    id,
    name: id,
    category: 'other',
    hosts: [`${id}.invalid`],
    registration: 'none',
    signIns: [],
    revoke: { how: 'console' },
  }
}
