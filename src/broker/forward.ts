import { type ForwardAnswer, type ForwardRequest, ValetkeyError } from '#client'
import type { Caller } from '../model/caller.ts'
import { HOP_BY_HOP } from '../model/network.ts'
import type { Destination, Presentation } from '../model/provider.ts'
import type { AccountRow } from '../model/storage.ts'
import { wear } from '../protocol/presentation.ts'
import { addressOf } from './accounts.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import { openLease } from './leases.ts'
import { freshWhole } from './refresh.ts'
import { findProvider, signInOf } from './sign-ins.ts'

const NOT_PASSED_ON = new Set([
  ...HOP_BY_HOP,
  'host',
  'content-length',
  'cookie',
  'authorization',
  'x-api-key',
  'expect',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'valetkey-as',
  'valetkey-request',
  'origin',
  'referer',
])
const NOT_PASSED_BACK = new Set([...HOP_BY_HOP, 'set-cookie', 'set-cookie2'])

/** Does the request on the caller's behalf. The credential goes to the provider's own hosts, and to nobody else. */
export async function forward(kit: Kit, caller: Caller, request: ForwardRequest): Promise<ForwardAnswer> {
  const passage = await kit.gate.pass(caller, 'forward', { address: request.address })
  return behind(
    passage,
    async () => {
      const { account, credential, profile } = await freshWhole(kit, accountOf(passage, request.address))
      const provider = findProvider(kit, account.provider)
      const url = judge(account, kit.catalogue.destination(provider, profile.vars), request.path)
      const { present } = signInOf(kit, provider, account.flow)
      const own = withoutOurs(request.headers ?? {}, present)
      const headers = { ...provider.headers, ...own, ...Object.fromEntries(wear(present, {}, credential)) }
      const { method, body = null, signal } = request
      await openLease(kit, caller, account, 'forward')
      const answer = await kit.network.fetch(url, { method, headers, body, signal })
      return { status: answer.status, headers: undress(answer.headers), body: answer.body }
    },
    (answer) => `${request.method} ${answer.status}`,
  )
}

/** Judges the URL that will be sent, not the text that asked for it. */
function judge(account: AccountRow, { base, own, origins, place }: Destination, path: string): URL {
  const asked = URL.parse(path, base.href)
  const bare = asked !== null && asked.username === '' && asked.password === ''
  const url = bare && own.includes(asked.origin) ? place(asked) : asked
  if (bare && url !== null && origins.includes(url.origin)) return url
  const message = `the credential of ${addressOf(account)} may not go to this address`
  throw new ValetkeyError('host-not-allowed', message, { hint: `it goes to ${origins.join(', ')}` })
}

/** What the caller asked to send, without what is ours to say and what this provider knows credentials by. */
function withoutOurs(
  headers: Readonly<Record<string, string>>,
  present: readonly Presentation[],
): Record<string, string> {
  const worn = present.flatMap((way) => ('header' in way ? way.header : []))
  const named = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  return Object.fromEntries(named.filter(([name]) => !NOT_PASSED_ON.has(name) && !worn.includes(name)))
}

function undress(headers: Headers): ForwardAnswer['headers'] {
  return [...headers].filter(([name]) => !NOT_PASSED_BACK.has(name))
}
