import type { Asking, Provider } from '../model/provider.ts'
import type { Flaw } from './judge-host.ts'
import { flawsOfEndpoint, LINKS } from './judge-oauth.ts'
import { placeholders } from './template.ts'

/** What was issued, by the names that a request of the provider's own may speak of it. */
export const TOKENS = ['accessToken', 'refreshToken', 'idToken', 'baseToken'] as const
const CLIENT = ['clientId', 'clientSecret'] as const
const CLIENT_ID = '{clientId}'
/** Set by the way out itself, or by how it is asked. */
const NOT_SAID = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'cookie'])

interface Of {
  readonly field: string
  /** Fields of the way in that it belongs to. */
  readonly fields?: readonly { readonly name: string; readonly secret: boolean }[]
}

/** A request of the provider's own shows secrets, so it goes where they are known already, and nowhere in an address. */
export function* flawsOfRequest(
  provider: Provider,
  request: Asking,
  { field, fields = [] }: Of,
): Generator<Flaw> {
  const { url, method, form, json, query, headers, auth } = request
  const [, origin = '', path = ''] = /^(https?:\/\/[^/?#]*)(.*)$/.exec(url) ?? []
  yield* flawsOfEndpoint(provider, origin + path.replaceAll(CLIENT_ID, 'x'), `${field}.url`)
  if (!hostsOf(provider).includes(hostOf(url)))
    yield { field: `${field}.url`, words: 'must go to one of hosts, or to a host of oauth' }
  if (auth === 'client' && !provider.oauth) yield { field: `${field}.auth`, words: 'needs oauth' }
  if (form && json) yield { field: `${field}.form`, words: 'cannot be sent beside json' }
  if (method === 'GET' && (form ?? json)) yield { field: `${field}.method`, words: 'has no body with GET' }
  const known = new Set<string>([
    ...TOKENS,
    ...CLIENT,
    ...[...provider.vars, ...fields].map(({ name }) => name),
  ])
  for (const [part, texts] of Object.entries({ form, json, query, headers }))
    for (const text of Object.values(texts ?? {}))
      for (const name of placeholders(text))
        if (!known.has(name))
          yield { field: `${field}.${part}`, words: `names {${name}}, which is nothing that is known then` }
  for (const name of Object.keys(headers))
    if (NOT_SAID.has(name) || (name === 'authorization' && auth !== 'none'))
      yield { field: `${field}.headers.${name}`, words: 'is not for a provider to set' }
  yield* flawsOfQuery(request, { field, fields })
}

/** The one exception has to be declared, and there has to be something that it is for. */
function* flawsOfQuery({ query, secretsInQuery }: Asking, { field, fields = [] }: Of): Generator<Flaw> {
  const secrets = new Set<string>([...TOKENS, 'clientSecret'])
  for (const { name, secret } of fields) if (secret) secrets.add(name)
  const shown = Object.values(query)
    .flatMap(placeholders)
    .find((name) => secrets.has(name))
  if (shown !== undefined && !secretsInQuery)
    yield {
      field: `${field}.query`,
      words: `shows {${shown}} in an address, and secretsInQuery does not say so`,
    }
  if (shown === undefined && secretsInQuery)
    yield { field: `${field}.secretsInQuery`, words: 'has no secret that it is about' }
}

/** All the hosts that a provider has anything to do with. */
export function hostsOf({ hosts, oauth }: Provider): readonly string[] {
  const links = [...LINKS.map((name) => oauth?.[name]), oauth?.device?.authorize, oauth?.device?.token]
  return [...hosts, ...links.flatMap((link) => (link === undefined ? [] : hostOf(link)))]
}

export function hostOf(link: string): string {
  return /^https?:\/\/([^/?#]*)/.exec(link)?.[1] ?? ''
}
