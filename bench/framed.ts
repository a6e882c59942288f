import { once } from 'node:events'
import { connect } from 'node:net'

// A frame is: length (4, big-endian) | a JSON object in UTF-8.

interface Answer {
  readonly id?: string
  readonly ok: boolean
  readonly code?: string
  readonly data?: unknown
}

/** The smallest client of a framed socket: it waits for every answer, in whichever order they come. */
export interface FramedClient {
  ask(op: string, payload: object): Promise<Answer>
  handshake(): Promise<void>
  close(): void
}

export function frame(message: object): Buffer {
  const text = Buffer.from(JSON.stringify(message))
  const framed = Buffer.allocUnsafe(4 + text.length)
  framed.writeUInt32BE(text.length)
  text.copy(framed, 4)
  return framed
}

/** Gives whole messages out of pieces. */
export function frames(heard: (message: unknown) => void): (piece: Buffer) => void {
  let kept: Buffer = Buffer.alloc(0)
  return (piece) => {
    kept = kept.length > 0 ? Buffer.concat([kept, piece]) : piece
    let at = 0
    while (kept.length - at >= 4) {
      const end = at + 4 + kept.readUInt32BE(at)
      if (kept.length < end) break
      heard(JSON.parse(kept.toString('utf8', at + 4, end)))
      at = end
    }
    kept = kept.subarray(at)
  }
}

export async function framedClient(path: string): Promise<FramedClient> {
  const socket = connect(path)
  await once(socket, 'connect')
  const waiting = new Map<string, (answer: Answer) => void>()
  const gone = { ok: false, code: 'the connection was closed' }
  let asked = 0
  let shaken: ((answer: Answer) => void) | undefined
  socket.on(
    'data',
    frames((message) => {
      const answer = message as Answer
      if (answer.id === undefined) return shaken?.(answer)
      const done = waiting.get(answer.id)
      waiting.delete(answer.id)
      done?.(answer)
    }),
  )
  socket.on('error', () => socket.destroy())
  socket.on('close', () => {
    shaken?.(gone)
    for (const done of waiting.values()) done(gone)
  })
  return {
    ask(op, payload) {
      asked += 1
      const id = `r${asked}`
      return new Promise((done) => {
        waiting.set(id, done)
        socket.write(frame({ v: 2, id, op, payload }))
      })
    },
    async handshake() {
      const { promise, resolve } = Promise.withResolvers<Answer>()
      shaken = resolve
      socket.write(frame({ v: 2, op: 'handshake', payload: { minVersion: 2, maxVersion: 2 } }))
      const { ok, code } = await promise
      if (!ok) throw new Error(`the handshake was refused: ${code}`)
    },
    close: () => socket.destroy(),
  }
}
