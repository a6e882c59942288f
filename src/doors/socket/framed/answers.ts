import type { Socket } from 'node:net'

/**
 * Writes what was made in one turn with one call. Whoever does not read the answers is not read either,
 * until they do.
 */
export function answersTo(socket: Socket): (frame: Buffer) => void {
  let corked = false

  function uncork(): void {
    corked = false
    socket.uncork()
  }

  return (frame) => {
    if (!socket.writable) return
    if (!corked) {
      corked = true
      socket.cork()
      process.nextTick(uncork)
    }
    if (socket.write(frame) || socket.isPaused()) return
    socket.pause()
    socket.once('drain', () => socket.resume())
  }
}
