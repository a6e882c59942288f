import type { Socket } from 'node:net'

export interface Answers {
  write(frame: Buffer): void
  /** Nothing comes after what was written until now. */
  end(): void
}

/**
 * Writes what was made in one turn as one piece. Whoever does not read the answers is not read either,
 * until they do.
 */
export function answersTo(socket: Socket): Answers {
  let made: Buffer[] = []

  function writeAll(): void {
    const [first, ...others] = made
    made = []
    if (first === undefined || !socket.writable) return
    const piece = others.length === 0 ? first : Buffer.concat([first, ...others])
    if (socket.write(piece) || socket.isPaused()) return
    socket.pause()
    socket.once('drain', () => socket.resume())
  }

  return {
    write(frame) {
      if (made.push(frame) === 1) process.nextTick(writeAll)
    },
    end() {
      writeAll()
      socket.end()
    },
  }
}
