import type { Socket } from 'node:net'
import { ERRORS } from '#client'
import { type Caller, isOwner } from '../../../model/caller.ts'
import { answersTo } from './answers.ts'
import { type Told, tell } from './codes.ts'
import type { Kept, Talk } from './door.ts'
import { type Frame, frameOf, frameReader } from './frames.ts'
import { shakeHands } from './handshake.ts'
import { type FrameLimits, NEWEST, type Version } from './limits.ts'
import { type Requests, requestsOf } from './requests.ts'

/** So long it is waited for the other end to go as well. */
const LINGER_MS = 1000

/** One connection from its first byte to its last: first the handshake, then requests. */
export function converse(
  kept: Kept,
  limits: FrameLimits,
  socket: Socket,
  caller: Caller,
  waitedMs: number,
): Talk {
  const { write, end } = answersTo(socket)
  let version = NEWEST
  let requests: Requests | undefined
  let leaving = false
  let late: NodeJS.Timeout | undefined = deadline(Math.max(0, limits.handshakeMs - waitedMs))
  let amid: NodeJS.Timeout | undefined

  const most = () => (requests === undefined ? limits.handshakeBytes : limits.frameBytes[version])
  const reader = frameReader(most, (frame) => {
    if (leaving) return
    clearTimeout(amid)
    amid = undefined
    if (requests === undefined) greet(frame)
    else requests.take(frame)
  })

  function greet(frame: Frame): void {
    const agreed = shakeHands(frame, kept.options.token)
    if (typeof agreed === 'number') begin(agreed)
    else goodbye({ v: NEWEST, op: 'handshake', ...agreed })
  }

  function begin(agreed: Version): void {
    clearTimeout(late)
    late = undefined
    version = agreed
    const rate = isOwner(caller) ? limits.ownerRate : limits.rate
    const seat = { kept, desk: kept.options.desk(caller), caller, version }
    requests = requestsOf(seat, limits, rate, write, leaveIfDone)
    write(frameOf({ v: version, op: 'handshake', ok: true, data: { version } }))
    socket.setTimeout(limits.idleMs, () => requests?.working === 0 && socket.destroy())
  }

  /** A last frame, and then nothing is heard any more. */
  function goodbye(frame: object): void {
    if (leaving) return
    leaving = true
    write(frameOf(frame))
    end()
    clearTimeout(late)
    late = deadline(LINGER_MS)
  }

  function leaveIfDone(): void {
    if (leaving && requests?.working === 0) end()
  }

  function deadline(milliseconds: number): NodeJS.Timeout {
    // What came while this process was busy is read first.
    return setTimeout(() => setImmediate(() => setImmediate(cutIfLate)), milliseconds)
  }

  function cutIfLate(): void {
    if (requests === undefined || leaving) socket.destroy()
  }

  function watch(): void {
    if (reader.isAmid) amid ??= setTimeout(() => setImmediate(() => setImmediate(cutAmid)), limits.frameMs)
  }

  function cutAmid(): void {
    if (amid !== undefined) goodbye(refusal(tell('INVALID_REQUEST', 'A frame did not come to its end.')))
  }

  function refusal(told: Told): object {
    return requests === undefined ? { v: NEWEST, op: 'handshake', ...told } : { id: null, ...told }
  }

  socket.on('data', (chunk: Buffer) => {
    if (leaving) return
    try {
      reader.read(chunk)
      watch()
    } catch {
      goodbye(refusal(tell('INVALID_REQUEST', ERRORS['invalid-request'].says)))
    }
  })
  // Whoever says no more may still be waiting for answers.
  socket.on('end', () => {
    leaving = true
    if (requests === undefined || requests.working === 0) end()
  })
  socket.on('close', () => {
    clearTimeout(late)
    clearTimeout(amid)
  })
  return {
    finish() {
      leaving = true
      if (requests === undefined || requests.working === 0) end()
    },
  }
}
