import { formatAddress, type Grant, type May, ValetkeyError } from '#client'
import type { Caller, Proof } from '../../model/caller.ts'
import type { NarrowRequest } from '../../model/words.ts'
import { readAddress } from '../accounts.ts'
import type { Kit } from '../kit.ts'
import { findProvider } from '../sign-ins/sign-ins.ts'
import { readLimits } from './limits.ts'
import type { Running, Terms } from './terms.ts'

const MAY: readonly May[] = ['lend', 'forward', 'reveal', 'connect']
const MOST_GRANTS = 50
const MOST_UIDS = 16
const NAME = /^[\x20-\x7e]{1,60}$/
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/
const HIGHEST_UID = 0xffff_fffe

/** What is wished for, read whole before anything is looked up. */
export type Wish = Omit<Terms, 'id' | 'parent' | 'hash' | 'at'>

export function readWish(kit: Kit, caller: Caller, request: NarrowRequest): Wish {
  const { kind, name = kind, until = null, thumbprint = null } = request
  if (!NAME.test(name)) throw misread('the name', 'at most 60 printable characters')
  if (until !== null && !(until > kit.now())) throw misread('the end', 'it has to lie ahead')
  if (thumbprint !== null && (kind !== 'key' || !THUMBPRINT.test(thumbprint)))
    throw misread('the thumbprint', 'a key takes one, of 43 characters (RFC 7638)')
  return {
    kind,
    name,
    grants: readGrants(kit, request),
    until: until?.getTime() ?? null,
    thumbprint,
    uids: readUids(request, caller.proof),
    endsWith: request.endsWithMe ? processOf(kit, caller.proof) : null,
  }
}

/**
 * The same address twice is one grant, and has to be held to the same. A socket may be given nothing at first:
 * who comes in there can ask.
 */
function readGrants(kit: Kit, { kind, grants: asked }: NarrowRequest): readonly Grant[] {
  if (asked.length === 0 && kind === 'key')
    throw misread('the grants', 'name an account: --allow github/work:forward')
  const grants = new Map<string, Grant>()
  for (const one of asked.map((grant) => readGrant(kit, grant))) {
    const before = grants.get(one.address) ?? { ...one, may: [] }
    if (JSON.stringify(before.limits) !== JSON.stringify(one.limits))
      throw misread('the grants', `one set of limits for ${one.address}`)
    grants.set(one.address, { ...one, may: [...new Set([...before.may, ...one.may])] })
  }
  if (grants.size > MOST_GRANTS) throw misread('the grants', `at most ${MOST_GRANTS} accounts`)
  return [...grants.values()]
}

function readGrant(kit: Kit, { address, may, limits }: Grant): Grant {
  if (may.length === 0 || may.some((verb) => !MAY.includes(verb)))
    throw misread('the grants', `some of ${MAY.join(', ')}`)
  const read = readAddress(kit, address)
  findProvider(kit, read.provider)
  return { address: formatAddress(read), may, ...(limits && { limits: readLimits(limits) }) }
}

/** Whoever asks, where nobody is named. */
function readUids({ kind, uids }: NarrowRequest, { uid }: Proof): readonly number[] {
  if (kind === 'key') {
    if (uids !== undefined) throw misread('the users', 'a key is for whoever shows it')
    return []
  }
  const named = uids ?? (uid === undefined ? [] : [uid])
  const isUser = (one: number) => Number.isInteger(one) && one >= 0 && one <= HIGHEST_UID
  if (named.length === 0 || named.length > MOST_UIDS || !named.every(isUser))
    throw misread('the users', 'name who may reach the socket, by their numbers')
  return [...new Set(named)]
}

function processOf({ keyring }: Kit, { pid }: Proof): Running {
  const mark = pid === undefined ? undefined : keyring.markOf(pid)
  if (pid !== undefined && mark !== undefined) return { pid, mark }
  throw misread('the end', 'only at a socket is it known which process asks')
}

function misread(what: string, hint: string): ValetkeyError {
  return new ValetkeyError('invalid-request', `${what} of the key cannot be used`, { hint })
}
