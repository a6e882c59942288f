import { ValetkeyError } from '#client'
import type { Broker } from '../../model/broker.ts'
import type { Caller } from '../../model/caller.ts'
import { Secret } from '../../model/secret.ts'
import type { Identifying, Incoming } from './caller.ts'
import { GATEWAY } from './gateway.ts'
import type { DoorEnv } from './routes/route.ts'
import { isInAddress, type Shown, shownKeys } from './shown-keys.ts'

/** So many wrong ones of one connection are looked at in a second, and so many in all. */
const WRONG_A_SECOND = 5
const WRONG_IN_ALL = 20

/** What a request that is signed by a key of its own has to prove. */
export interface Signed {
  readonly proof: string
  readonly method: string
  readonly url: URL
  readonly token: string
}

export interface KeyCallerParts {
  readonly recognise: Broker['recognise']
  /** The thumbprint of the key that this request was signed by (RFC 9449); throws where it proves nothing. */
  readonly provePossession: (signed: Signed) => Promise<string>
  /** The headers that providers' credentials are worn in, where a key may stand in for one. */
  readonly headers: () => readonly string[]
  readonly monotonic: () => number
}

/**
 * Whoever shows a key is the caller that it was cut for, and nobody else: who they are besides, by a cookie or
 * by the kernel's word, counts for nothing then. Who shows a wrong one is nobody.
 */
export function keyCaller(parts: KeyCallerParts): Identifying['identify'] {
  const wrong = countWrong(parts.monotonic)
  return async (asked, env) => {
    if (isInAddress(asked.url)) throw inAddress()
    const { pathname } = new URL(asked.url)
    const shown = shownKeys(asked.headers, pathname.startsWith(GATEWAY) ? parts.headers() : [])
    const [one, ...others] = shown
    if (one === undefined) return env.caller
    if (others.length > 0) throw new ValetkeyError('unauthenticated', 'one key is shown at a time')
    wrong.refuseMore(env)
    const caller = await callerBy(parts, asked, one, env)
    if (caller === undefined) wrong.count(env)
    return caller
  }
}

async function callerBy(
  parts: KeyCallerParts,
  asked: Incoming,
  shown: Shown,
  { caller }: DoorEnv,
): Promise<Caller | undefined> {
  const thumbprint = await possessionOf(parts, asked, shown)
  const peer = caller?.proof.uid === undefined ? { door: 'http' } : caller.proof
  return parts.recognise(new Secret(shown.key), { ...peer, ...(thumbprint !== undefined && { thumbprint }) })
}

/** A key that is bound to another is shown by a scheme of its own, so that nobody takes it for a bearer's. */
async function possessionOf(
  { provePossession }: KeyCallerParts,
  { headers, method, url }: Incoming,
  { key: token, scheme }: Shown,
): Promise<string | undefined> {
  if (scheme !== 'dpop') return undefined
  const proof = headers.get('dpop')
  if (proof === null) throw new ValetkeyError('unauthenticated', 'the proof of possession is missing')
  return provePossession({ proof, url: new URL(url), method, token })
}

interface Wrong {
  readonly all: number
  readonly since: number
  readonly lately: number
}

/** Nobody guesses 256 bits; this keeps those away who have the vault looked through for nothing. */
function countWrong(monotonic: () => number) {
  const known = new WeakMap<object, Wrong>()
  const nobody = {}

  function of({ connection = nobody }: DoorEnv): Wrong {
    const now = monotonic()
    const before = known.get(connection) ?? { all: 0, since: now, lately: 0 }
    return now - before.since < 1000 ? before : { ...before, since: now, lately: 0 }
  }

  return {
    refuseMore(env: DoorEnv): void {
      const { all, lately } = of(env)
      const isTooMany = env.connection !== undefined && all >= WRONG_IN_ALL
      if (isTooMany || lately >= WRONG_A_SECOND)
        throw new ValetkeyError('rate-limited', 'too many wrong keys were shown', { retryAfter: 1 })
    },
    count(env: DoorEnv): void {
      const { all, since, lately } = of(env)
      known.set(env.connection ?? nobody, { all: all + 1, since, lately: lately + 1 })
    },
  }
}

function inAddress(): ValetkeyError {
  return new ValetkeyError('invalid-request', 'a key is never written in an address', {
    hint: 'send it as Authorization: Bearer, and put another one in its place',
  })
}
