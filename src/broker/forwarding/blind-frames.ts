import { Buffer } from 'node:buffer'
import { Transform } from 'node:stream'
import { type Scrubber, starred } from './scrub.ts'

// RFC 6455 §5.2, from a server to a client: nothing is masked, and with no extension agreed upon nothing is packed.

const FIN = 0x80
const RESERVED = 0x70
const OPCODE = 0x0f
const CONTROL = 0x08
const MASKED = 0x80
const LONGEST_CONTROL = 125

/** A frame that has begun. */
interface Frame {
  readonly fin: boolean
  readonly opcode: number
  left: number
}

export interface Blind {
  readonly secrets: readonly Buffer[]
  scrub(): Scrubber
}

/**
 * What a provider says over a WebSocket, without these secrets. A message goes on as it comes, in frames of its
 * own, so that a secret is found wherever the provider cut it. What is no frame that can be read breaks it off.
 */
export function blindFrames({ secrets, scrub }: Blind): Transform {
  let kept: Buffer = Buffer.alloc(0)
  let frame: Frame | undefined
  /** Of the message that is under way, with what its next frame begins. */
  let message: { readonly scrubber: Scrubber; opcode: number } | undefined

  function read(chunk: Buffer): Buffer[] {
    const said: Buffer[] = []
    kept = kept.byteLength === 0 ? chunk : Buffer.concat([kept, chunk])
    for (;;) {
      if (frame === undefined) {
        const length = headLength(kept)
        if (length === undefined || kept.byteLength < length) return said
        frame = readHead(kept)
        kept = kept.subarray(length)
      }
      const isControl = frame.opcode >= CONTROL
      const whole = kept.byteLength >= frame.left
      if (!whole && (isControl || kept.byteLength === 0)) return said
      const piece = kept.subarray(0, frame.left)
      kept = kept.subarray(piece.byteLength)
      frame.left -= piece.byteLength
      said.push(...(isControl ? [written(true, frame.opcode, starred(piece, secrets))] : pass(frame, piece)))
      if (whole) frame = undefined
    }
  }

  function pass({ fin, opcode, left }: Frame, piece: Buffer): Buffer[] {
    message ??= { scrubber: scrub(), opcode }
    const isLast = fin && left === 0
    const clean = message.scrubber.feed(piece)
    const payload = isLast ? Buffer.concat([clean, message.scrubber.end()]) : clean
    if (payload.byteLength === 0 && !isLast) return []
    const one = written(isLast, message.opcode, payload)
    message.opcode = 0
    if (isLast) message = undefined
    return [one]
  }

  return new Transform({
    transform(chunk: Buffer, _, done) {
      try {
        for (const one of read(chunk)) this.push(one)
        done()
      } catch (error) {
        done(error instanceof Error ? error : new Error('it cannot be read'))
      }
    },
  })
}

function headLength(bytes: Buffer): number | undefined {
  if (bytes.byteLength < 2) return undefined
  const length = bytes.readUInt8(1) & ~MASKED
  return length === 127 ? 10 : length === 126 ? 4 : 2
}

function readHead(bytes: Buffer): Frame {
  const [first, second] = [bytes.readUInt8(0), bytes.readUInt8(1)]
  const short = second & ~MASKED
  const left =
    short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short
  const opcode = first & OPCODE
  const isBad = opcode >= CONTROL && (left > LONGEST_CONTROL || (first & FIN) === 0)
  if ((first & RESERVED) !== 0 || (second & MASKED) !== 0 || isBad || !Number.isSafeInteger(left))
    throw new Error('this is no frame that a provider may send')
  return { fin: (first & FIN) !== 0, opcode, left }
}

function written(fin: boolean, opcode: number, payload: Buffer): Buffer {
  const length = payload.byteLength
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head.writeUInt8((fin ? FIN : 0) | opcode, 0)
  head.writeUInt8(length < 126 ? length : length < 65_536 ? 126 : 127, 1)
  if (head.byteLength === 4) head.writeUInt16BE(length, 2)
  if (head.byteLength === 10) head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, payload])
}
