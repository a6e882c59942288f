import { isUtf8 } from 'node:buffer'
import { ValetkeyError } from '#client'

// A frame is: length (4, unsigned, big-endian) | one JSON object as UTF-8, of that many bytes.

const HEADER_BYTES = 4
/** What a large frame is gathered in at first; it grows with what really comes. */
const FIRST_BYTES = 64 * 1024

export type Frame = Readonly<Record<string, unknown>>

export interface FrameReader {
  /** Throws `invalid-request` for what is no frame; then nothing more can be read. */
  read(chunk: Buffer): void
  /** Whether a frame has begun that has not ended. */
  readonly isAmid: boolean
}

/** Whole frames are read where they lie; what comes in pieces is put together once. */
export function frameReader(most: () => number, take: (frame: Frame) => void): FrameReader {
  let gathered: Buffer | undefined
  let filled = 0

  function readAll(bytes: Buffer): void {
    let at = 0
    for (;;) {
      const left = bytes.length - at
      const whole = left < HEADER_BYTES ? HEADER_BYTES : lengthAt(bytes, at)
      if (left < whole) break
      take(parsed(bytes.subarray(at + HEADER_BYTES, at + whole)))
      at += whole
    }
    gathered = undefined
    if (at < bytes.length) gather(bytes.subarray(at))
  }

  function lengthAt(bytes: Buffer, at: number): number {
    const length = bytes.readUInt32BE(at)
    if (length === 0) throw bad('a frame is empty')
    if (length > most()) throw bad('a frame is too large')
    return HEADER_BYTES + length
  }

  function gather(bytes: Buffer): void {
    if (gathered === undefined) {
      gathered = Buffer.allocUnsafe(Math.max(bytes.length, Math.min(wanted(bytes), FIRST_BYTES)))
      filled = 0
    }
    if (filled + bytes.length > gathered.length) {
      const grown = Buffer.allocUnsafe(Math.max(2 * gathered.length, filled + bytes.length))
      gathered.copy(grown, 0, 0, filled)
      gathered = grown
    }
    bytes.copy(gathered, filled)
    filled += bytes.length
  }

  function wanted(bytes: Buffer): number {
    return bytes.length < HEADER_BYTES ? HEADER_BYTES : lengthAt(bytes, 0)
  }

  return {
    read(chunk) {
      if (gathered === undefined) return readAll(chunk)
      gather(chunk)
      const bytes = gathered.subarray(0, filled)
      if (filled >= wanted(bytes)) readAll(bytes)
    },
    get isAmid() {
      return gathered !== undefined
    },
  }
}

/** Header and body are one write. */
export function frameOf(message: object): Buffer {
  const text = JSON.stringify(message)
  const bytes = Buffer.byteLength(text)
  const frame = Buffer.allocUnsafe(HEADER_BYTES + bytes)
  frame.writeUInt32BE(bytes, 0)
  frame.write(text, HEADER_BYTES)
  return frame
}

/** Of a frame of `frameOf`, without its header. */
export function bytesIn(frame: Buffer): number {
  return frame.length - HEADER_BYTES
}

function parsed(body: Buffer): Frame {
  if (!isUtf8(body)) throw bad('a frame is not UTF-8')
  const value = json(body.toString('utf8'))
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw bad('a frame is not one JSON object')
  return value as Frame
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function bad(words: string): ValetkeyError {
  return new ValetkeyError('invalid-request', words)
}
