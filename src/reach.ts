import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type RemoteDesk, remoteDesk, ValetkeyError } from '#client'
import { socketFetch } from './doors/socket/fetch.ts'
import { THE_PERSON } from './model/caller.ts'
import type { Serving } from './serve.ts'
import { type Where, wherePaths } from './where.ts'

type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>

/** Where the requests of this process go: to its own broker, or to the socket of the one that runs. */
export interface Way {
  readonly fetch: Fetch
  /** Set when this process holds the vault itself. */
  readonly serving?: Serving
}

/** Any name would do: the request goes to the socket or stays in this process. */
export const BASE = 'http://valetkey'
const PATIENCE_MS = 10_000

/** The broker whose socket answers, if one does. */
export async function running(where: Where): Promise<Way | undefined> {
  const socket = named(where)?.path
  const fetch = socket === undefined ? socketFetch(wherePaths(where).socket) : socketFetch(socket, 'anybody')
  const answer = await fetch(`${BASE}/healthz`).catch(() => undefined)
  await answer?.body?.cancel()
  return answer?.ok ? { fetch } : undefined
}

/**
 * A socket that is named may be that of a sandbox, whose programs shall never become or start a broker of the
 * owner's: they are told that it is over.
 */
export function refuseNamed(where: Where): void {
  const socket = named(where)
  if (socket === undefined) return
  throw new ValetkeyError('broker-gone', `nobody answers at the socket that ${socket.variable} names`, {
    hint: `what a program was given ends with it; without ${socket.variable} your own valetkey is found`,
  })
}

const NAMING = ['VALETKEY_SOCKET', 'LLXPRT_CREDENTIAL_SOCKET']

function named({ env }: Where): { readonly variable: string; readonly path: string } | undefined {
  const variable = NAMING.find((name) => env[name])
  if (variable === undefined) return undefined
  return { variable, path: resolve(env[variable] ?? '') }
}

/** The running broker, or this process as the broker: whichever comes first. */
export async function holdOrJoin(where: Where, log?: (line: string) => void): Promise<Way> {
  for (const end = Date.now() + PATIENCE_MS; ; await pause(50)) {
    const there = await running(where)
    if (there !== undefined) return there
    refuseNamed(where)
    try {
      const { serve } = await import('./serve.ts')
      return own(await serve(where, { log }))
    } catch (error) {
      if (!(error instanceof ValetkeyError && error.code === 'held') || Date.now() > end) throw error
    }
  }
}

export function own(serving: Serving): Way {
  // It is this very process, and so the kernel's word for it.
  const uid = process.getuid?.()
  const proof = { door: 'library', pid: process.pid, ...(uid !== undefined && { uid }) }
  const caller = { id: THE_PERSON, owner: THE_PERSON, proof }
  return { serving, fetch: (url, init) => serving.ask(new Request(url, init), caller) }
}

/** Several brokers may die one after the other over one request; then something else is wrong. */
const BROKERS_OUTLIVED = 5
/** What may be asked twice as well as once. A lending that died with its broker was never handed out. */
const REPEATABLE = /^\/api\/(lend|accounts\/[^/]+\/refresh)$/

/**
 * A fetch that outlives the broker it speaks to: when nobody answers any more the way is looked for
 * again, once for all who noticed, and the request is sent there, if none of it had left or it does not
 * matter that it did.
 */
export function enduring(find: () => Promise<Way>): Fetch {
  let way: Promise<Way> | undefined

  function instead(of?: Promise<Way>): Promise<Way> {
    if (way === undefined || way === of) way = find()
    return way
  }

  async function attempt(url: string | URL, init: RequestInit | undefined, left: number): Promise<Response> {
    let tried = way ?? instead()
    const { fetch } = await tried.catch(() => {
      tried = instead(tried)
      return tried
    })
    try {
      return await whole(await fetch(url, init), url)
    } catch (error) {
      const again = left > 0 && !init?.signal?.aborted && (nobodyThere(error) || isRepeatable(url, init))
      if (!again) throw error
      instead(tried)
      return attempt(url, init, left - 1)
    }
  }

  return (url, init) => attempt(url, init, BROKERS_OUTLIVED)
}

function isRepeatable(url: string | URL, init: RequestInit = {}): boolean {
  const { method = 'GET' } = init
  return method === 'GET' || method === 'HEAD' || REPEATABLE.test(new URL(url).pathname)
}

/** What breaks off in the middle is noticed here, where it can still be asked for again. */
async function whole(answer: Response, url: string | URL): Promise<Response> {
  if (answer.body === null || !REPEATABLE.test(new URL(url).pathname)) return answer
  return new Response(await answer.arrayBuffer(), answer)
}

export function deskOver(fetch: Fetch, as?: string): RemoteDesk {
  return remoteDesk({ fetch, base: BASE, headers: as === undefined ? {} : { 'valetkey-as': as } })
}

function nobodyThere(error: unknown): boolean {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return code === 'ECONNREFUSED' || code === 'ENOENT'
}
