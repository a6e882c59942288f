import { once } from 'node:events'
import { connect } from 'node:net'

export type Message = Readonly<Record<string, unknown>>

export interface Answer {
  readonly id: string | null
  readonly ok: boolean
  readonly data?: Readonly<Record<string, unknown>>
  readonly code?: string
  readonly error?: string
  readonly retryAfter?: number
}

export interface FramedClientOptions {
  /** The newest version that is offered, and the oldest. */
  readonly maxVersion?: number
  readonly minVersion?: number
  readonly capabilityToken?: string | undefined
}

/** One connection to a socket at which frames are spoken. */
export interface FramedClient {
  /** The version that was agreed upon. */
  readonly version: number
  /** Resolves with the answer to this request, whatever it says and in whatever order it comes. */
  ask(op: string, payload?: Message, id?: string): Promise<Answer>
  /** Sends a message, and awaits nothing. */
  send(...messages: readonly Message[]): void
  close(): void
}

/** A connection on which nothing is understood: bytes go out as they are, and frames come in one after the other. */
export interface RawClient {
  write(...chunks: readonly Uint8Array[]): void
  /** The next frame; undefined when the other end has closed. */
  next(patienceMs?: number): Promise<Message | undefined>
  /** In how many milliseconds from the connection on the other end closed. */
  closed(): Promise<number>
  /** Reads no more, so that answers pile up. */
  pause(): void
  destroy(): void
}

/** Longer than anything of the protocol takes; no test waits for ever. */
const PATIENCE_MS = 8000

async function inTime<T>(awaited: Promise<T>, patienceMs = PATIENCE_MS): Promise<T> {
  if (patienceMs === Number.POSITIVE_INFINITY) return awaited
  const { promise, reject } = Promise.withResolvers<never>()
  const late = setTimeout(() => reject(new Error('nothing came')), patienceMs)
  return Promise.race([awaited, promise]).finally(() => clearTimeout(late))
}

export function frameBytes(message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message))
  return Buffer.concat([lengthBytes(body.length), body])
}

export function lengthBytes(length: number): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt32BE(length)
  return header
}

export async function rawClient(path: string): Promise<RawClient> {
  const socket = connect(path)
  await once(socket, 'connect')
  const since = performance.now()
  const came: Message[] = []
  const waiting: ((message: Message | undefined) => void)[] = []
  let held = Buffer.alloc(0)
  let over = false
  const { promise: closed, resolve } = Promise.withResolvers<number>()
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    held = Buffer.concat([held, chunk])
    while (held.length >= 4 && held.length >= 4 + held.readUInt32BE(0)) {
      const end = 4 + held.readUInt32BE(0)
      const message = JSON.parse(held.toString('utf8', 4, end)) as Message
      held = held.subarray(end)
      const next = waiting.shift()
      if (next) next(message)
      else came.push(message)
    }
  })
  socket.on('close', () => {
    over = true
    resolve(performance.now() - since)
    for (const next of waiting.splice(0)) next(undefined)
  })
  return {
    write: (...chunks) => void socket.write(Buffer.concat(chunks)),
    async next(patienceMs = PATIENCE_MS) {
      const [message] = came.splice(0, 1)
      if (message !== undefined || over) return message
      return inTime(new Promise((next) => waiting.push(next)), patienceMs)
    },
    closed: () => inTime(closed),
    pause: () => void socket.pause(),
    destroy: () => void socket.destroy(),
  }
}

/** Throws with the code of the refusal where no version is agreed upon. */
export async function framedClient(path: string, options: FramedClientOptions = {}): Promise<FramedClient> {
  const { minVersion = 1, maxVersion = 2, capabilityToken } = options
  const raw = await rawClient(path)
  const payload = { minVersion, maxVersion, ...(capabilityToken !== undefined && { capabilityToken }) }
  raw.write(frameBytes({ v: maxVersion, op: 'handshake', payload }))
  const greeting = (await raw.next()) as (Message & { data?: { version: number }; code?: string }) | undefined
  if (greeting?.['ok'] !== true || greeting.data === undefined) {
    raw.destroy()
    throw new Error(greeting?.code ?? 'the connection was closed')
  }
  const { version } = greeting.data
  const asked = new Map<string, (answer: Answer) => void>()
  const ids = countUp()
  let over = false
  void hear()

  async function hear(): Promise<void> {
    const heard = () => raw.next(Number.POSITIVE_INFINITY)
    for (let answer = await heard(); answer !== undefined; answer = await heard()) {
      const { id } = answer as unknown as Answer
      const settle = asked.get(id ?? '')
      asked.delete(id ?? '')
      settle?.(answer as unknown as Answer)
    }
    over = true
    for (const [id, settle] of asked) settle(closed(id))
  }

  return {
    version,
    ask(op, payload = {}, id = ids()) {
      const { promise, resolve } = Promise.withResolvers<Answer>()
      if (over) resolve(closed(id))
      asked.set(id, resolve)
      raw.write(frameBytes({ v: version, id, op, payload }))
      return inTime(promise)
    },
    send: (...messages) => raw.write(...messages.map(frameBytes)),
    close: () => raw.destroy(),
  }
}

function closed(id: string): Answer {
  return { id, ok: false, code: 'CLOSED', error: 'the connection was closed' }
}

function countUp(): () => string {
  let last = 0
  return () => {
    last += 1
    return String(last)
  }
}
