import type { Writable } from 'node:stream'
import type { Taking, Through } from '../model/network.ts'

/** So much of an answer is taken in before it is known where it goes. */
const EARLY_BYTES = 64 * 1024

/** The part of a connection that keeps it from running ahead. */
interface Flow {
  pause(): void
  resume(): void
}

interface PassingParts {
  readonly flow: Flow
  /** Told when all of it was taken. */
  readonly taken: () => void
  /** Told that nobody takes it any more, and why. */
  readonly left: (error: Error) => void
}

/** The body of an answer on its way to what takes it, which may not be known yet. */
export interface Passing {
  to(taking: Taking): void
  write(piece: Buffer): void
  end(): void
  /** It broke off, and so does what takes it. */
  cut(): void
}

export function passing({ flow, taken, left }: PassingParts): Passing {
  let into: Writable | undefined
  let through: Through | undefined
  let early: Buffer[] = []
  let size = 0
  let ended = false
  let isCut = false

  /** False where it should have a rest. */
  function give(target: Writable, piece: Buffer): boolean {
    const ready = through === undefined ? piece : through.feed(piece)
    return ready.byteLength === 0 ? !target.writableNeedDrain : target.write(ready)
  }

  function finish(target: Writable): void {
    const rest = through?.end()
    if (rest === undefined || rest.byteLength === 0) target.end()
    else target.end(rest)
  }

  function giveEarly(target: Writable): void {
    for (const piece of early) give(target, piece)
    if (ended) finish(target)
    early = []
    if (ended) return
    if (target.writableNeedDrain) flow.pause()
    else flow.resume()
  }

  function closed(): void {
    if (into?.writableFinished !== true) left(new Error('nobody takes the answer'))
  }

  return {
    to(taking) {
      if (isCut) return void taking.into.destroy()
      into = taking.into
      through = taking.through
      into.on('drain', () => ended || flow.resume())
      into.on('finish', taken)
      into.on('error', left)
      into.on('close', closed)
      if (into.destroyed) closed()
      else giveEarly(into)
    },
    write(piece) {
      if (into === undefined) {
        early.push(piece)
        size += piece.byteLength
        if (size > EARLY_BYTES) flow.pause()
      } else if (!give(into, piece)) flow.pause()
    },
    end() {
      ended = true
      if (into !== undefined) finish(into)
    },
    cut() {
      isCut = true
      early = []
      into?.destroy()
    },
  }
}
