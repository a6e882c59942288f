import { idOf, isMessage, type Message, versionOf } from './messages.ts'

/** From the revision 2026-07-28 on what stands in a request is said in headers as well: by which name. */
const NAMED_BY: ReadonlyMap<unknown, string> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
  ['tasks/get', 'taskId'],
  ['tasks/update', 'taskId'],
  ['tasks/cancel', 'taskId'],
])

/** Where a tool wants one of its arguments in a header, by that header's name. */
type Wanted = ReadonlyMap<string, readonly string[]>

export interface RequestHeaders {
  /** What a request says of itself in its headers; nothing for one of an older revision. */
  of(message: Message): Readonly<Record<string, string>>
  /** Reads in passing what tools there are, and what they want in headers. */
  learn(answer: Message): void
}

export function requestHeaders(): RequestHeaders {
  const tools = new Map<string, Wanted>()
  return {
    of(message) {
      const version = versionOf(message)
      if (version === undefined || idOf(message) === undefined) return {}
      const { method, params } = message
      const field = NAMED_BY.get(method)
      const name = field !== undefined && isMessage(params) ? params[field] : undefined
      return {
        'mcp-protocol-version': version,
        'mcp-method': String(method),
        ...(typeof name === 'string' ? { 'mcp-name': encoded(name) } : {}),
        ...(method === 'tools/call' && isMessage(params) ? argumentsIn(tools.get(String(name)), params) : {}),
      }
    },
    learn({ result }) {
      const listed = isMessage(result) && Array.isArray(result['tools']) ? result['tools'] : []
      for (const tool of listed.filter(isMessage))
        tools.set(String(tool['name']), new Map(wantedBy(tool['inputSchema'])))
    },
  }
}

function* wantedBy(schema: unknown, path: readonly string[] = []): Generator<[string, readonly string[]]> {
  if (!isMessage(schema)) return
  const name = schema['x-mcp-header']
  if (typeof name === 'string' && path.length > 0 && /^[\w!#$%&'*+.^`|~-]+$/.test(name)) yield [name, path]
  const { properties } = schema
  if (isMessage(properties))
    for (const [key, inner] of Object.entries(properties)) yield* wantedBy(inner, [...path, key])
}

function argumentsIn(wanted: Wanted | undefined, { arguments: given }: Message): Record<string, string> {
  const all = [...(wanted ?? [])].flatMap(([name, path]) => {
    const value = path.reduce<unknown>((at, key) => (isMessage(at) ? at[key] : undefined), given)
    const isPlain = typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value)
    return isPlain ? [[`mcp-param-${name}`, encoded(String(value))] as const] : []
  })
  return Object.fromEntries(all)
}

/** What a header cannot hold as it is. */
function encoded(value: string): string {
  const isPlain = /^[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?$/.test(value) && !/^=\?base64\?.*\?=$/.test(value)
  return isPlain ? value : `=?base64?${Buffer.from(value).toString('base64')}?=`
}
