import { ValetkeyError } from '#client'
import type { Crossing } from '../../model/gateway.ts'
import { type AnswerHead, type ClientCertificate, HOP_BY_HOP } from '../../model/network.ts'
import { ownHeaders } from '../../model/provider/worn.ts'
import type { Destination, Presentation, Provider } from '../../model/provider.ts'
import type { AccountRow } from '../../model/storage.ts'
import { wear } from '../../protocol/presentation.ts'
import { certificateFor } from '../../protocol/proving.ts'
import { addressOf } from '../accounts.ts'
import type { Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { pathAt } from '../mcp/authority.ts'
import { knownProvider, signInOf } from '../sign-ins/sign-ins.ts'
import { type Proofs, proofsOf } from './proofs.ts'
import type { Asked } from './requests.ts'

const NOT_PASSED_ON = new Set([
  ...HOP_BY_HOP,
  'host',
  'content-length',
  'cookie',
  'authorization',
  'x-api-key',
  'dpop',
  'expect',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'origin',
  'referer',
])
/** Cookies and nonces are the provider's and ours; `refresh` would have a browser leave for another address. */
const NOT_PASSED_BACK = new Set([...HOP_BY_HOP, 'set-cookie', 'set-cookie2', 'refresh', 'dpop-nonce'])

/** For whoever does not say what it is; some providers answer nobody who does not. */
const NAMELESS = { 'user-agent': 'valetkey' }

export interface Dressed {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** The same as a limit looks at it, before anything is worn. */
  readonly asked: Asked
  /** What it proves besides, where that is made for each time it is sent. */
  readonly proofs: Proofs | undefined
  /** Shown to whoever is asked. */
  readonly certificate: ClientCertificate | undefined
}

/** Where the request goes, and its headers with the credential among them. */
export function dressed(kit: Kit, { account, credential, profile }: Whole, crossing: Crossing): Dressed {
  const { method, path, headers = {} } = crossing
  const provider = knownProvider(kit, account, profile)
  const written = pathAt(provider, path)
  const { url, at, isFirst } = judge(account, destinationOf(kit, provider, profile.vars), written)
  const { present } = signInOf(kit, provider, account.flow)
  const worn = Object.fromEntries(wear(present, {}, credential))
  const theirs = withoutOurs(headers, present)
  const all = { ...NAMELESS, ...provider.headers, ...theirs, ...worn }
  return {
    url,
    headers: all,
    asked: { method, written, url, isFirst, headers: theirs },
    proofs: proofsOf(kit, present, credential, { method, url, at, headers: all }),
    certificate: certificateFor(credential),
  }
}

type Vars = Readonly<Record<string, string>>

const known = new WeakMap<Vars, { readonly provider: Provider; readonly destination: Destination }>()

/** It follows from these two alone, and both are the same from one request to the next. */
function destinationOf({ catalogue }: Kit, provider: Provider, vars: Vars): Destination {
  const before = known.get(vars)
  if (before?.provider === provider) return before.destination
  const destination = catalogue.destination(provider, vars)
  known.set(vars, { provider, destination })
  return destination
}

/** Judges the URL that will be sent, not the text that asked for it. */
function judge(account: AccountRow, { base, own, origins, place }: Destination, path: string) {
  const asked = URL.parse(path, base.href)
  const bare = asked !== null && asked.username === '' && asked.password === ''
  const url = bare && own.includes(asked.origin) ? place(asked) : asked
  if (bare && url !== null && origins.includes(url.origin)) {
    const isFirst = asked.origin === own[0] || asked.origin === base.origin
    return { url, at: () => (isFirst ? moved(asked, own[0]) : asked), isFirst }
  }
  const message = `the credential of ${addressOf(account)} may not go to this address`
  throw new ValetkeyError('host-not-allowed', message, { hint: `it goes to ${origins.join(', ')}` })
}

/** A bare path is the first host's, also where another one stands in its place. */
function moved(asked: URL, origin = asked.origin): URL {
  const { pathname, search } = asked
  return Object.assign(new URL(origin), { pathname, search })
}

/** What the caller asked to send, without what is ours to say and what this provider knows credentials by. */
function withoutOurs(
  headers: Readonly<Record<string, string>>,
  present: readonly Presentation[],
): Record<string, string> {
  const worn = present.flatMap(ownHeaders)
  const named = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  return Object.fromEntries(
    named.filter(([name]) => !NOT_PASSED_ON.has(name) && !isOurs(name) && !worn.includes(name)),
  )
}

export function undress(headers: AnswerHead['headers']): AnswerHead['headers'] {
  return headers.filter(([name]) => !NOT_PASSED_BACK.has(name) && !isOurs(name))
}

/** What a caller says to us, and what we say to a caller. */
function isOurs(header: string): boolean {
  return header.startsWith('valetkey-')
}
