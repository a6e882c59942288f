import type { Socket } from 'node:net'

/** Who has not begun to speak by then is taken for nobody. */
const SILENCE_MS = 3000

export interface Spoken {
  http(socket: Socket): void
  frames(socket: Socket): void
}

/**
 * Two languages at one socket, told apart by the first byte: HTTP begins with a letter, a frame with the
 * zero of its length. Whoever says nothing is cut off.
 */
export function hearFirst(socket: Socket, spoken: Spoken, silenceMs = SILENCE_MS): void {
  let heard = false
  const late = setTimeout(cutIfSilent, silenceMs)
  socket.on('error', ignored)
  socket.on('close', () => clearTimeout(late))
  socket.once('end', () => heard || socket.destroy())
  socket.once('data', (chunk: Buffer) => {
    heard = true
    clearTimeout(late)
    socket.pause()
    socket.unshift(chunk)
    if (isLetter(chunk[0] ?? 0)) spoken.http(socket)
    else spoken.frames(socket)
    // Only now, when whoever reads it listens.
    process.nextTick(() => socket.resume())
  })

  /** What came while this process was busy is read before anybody is taken for silent. */
  function cutIfSilent(): void {
    setImmediate(() => setImmediate(() => heard || socket.destroy()))
  }
}

function isLetter(byte: number): boolean {
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x7a
}

function ignored(): void {}
