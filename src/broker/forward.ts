import { type ForwardAnswer, type ForwardRequest, ValetkeyError } from '#client'
import type { Caller } from '../model/caller.ts'
import type { Destination } from '../model/provider.ts'
import type { AccountRow } from '../model/storage.ts'
import { wear } from '../protocol/presentation.ts'
import { addressOf } from './accounts.ts'
import { takeGrant } from './grants.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import { openLease } from './leases.ts'
import { signInOf } from './turns.ts'

// RFC 9110 §7.6.1, and what belongs to the connection between the caller and us.
const NOT_PASSED_ON = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'content-length',
  'cookie',
  'authorization',
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
/** The way out decodes what was compressed, so these no longer describe the body. */
const NOT_PASSED_BACK = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'set-cookie',
  'content-encoding',
  'content-length',
  'trailer',
  'upgrade',
])

/** Does the request on the caller's behalf. The credential goes to the provider's own hosts, and to nobody else. */
export async function forward(kit: Kit, caller: Caller, request: ForwardRequest): Promise<ForwardAnswer> {
  const passage = await kit.gate.pass(caller, 'forward', { address: request.address })
  return behind(
    passage,
    async () => {
      const account = accountOf(passage, request.address)
      const provider = kit.catalogue.find(account.provider)
      if (provider === undefined)
        throw new ValetkeyError('unknown-provider', `no provider is called ${account.provider}`)
      const { credential, profile } = await takeGrant(kit, kit.storage, account)
      const url = judge(account, kit.catalogue.destination(provider, profile.vars), request.path)
      const worn = wear(signInOf(kit, provider, account.flow).present, {}, credential)
      const headers = dress(provider.headers, request.headers ?? {}, worn)
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
  const asked = /[\\]|%2f|%5c/i.test(path) ? null : URL.parse(path, base.href)
  const url = asked !== null && own.includes(asked.origin) ? place(asked) : asked
  if (url !== null && url.username === '' && url.password === '' && origins.includes(url.origin)) return url
  throw new ValetkeyError(
    'host-not-allowed',
    `the credential of ${addressOf(account)} may not go to this address`,
    {
      hint: `it goes to ${origins.join(', ')}`,
    },
  )
}

/** The provider's own headers, over them the caller's without those that are ours to say, over both the credential. */
function dress(
  defaults: Readonly<Record<string, string>>,
  asked: Readonly<Record<string, string>>,
  worn: ReturnType<typeof wear>,
): Record<string, string> {
  const named = Object.entries(asked).map(([name, value]) => [name.toLowerCase(), value] as const)
  const own = named.filter(([name]) => !NOT_PASSED_ON.has(name))
  return Object.fromEntries([...Object.entries(defaults), ...own, ...worn])
}

function undress(headers: Headers): ForwardAnswer['headers'] {
  return [...headers].filter(([name]) => !NOT_PASSED_BACK.has(name))
}
