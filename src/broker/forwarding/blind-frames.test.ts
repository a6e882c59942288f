import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import * as ws from 'ws'
import { canary } from '../../testing/canary.ts'
import { blindFrames } from './blind-frames.ts'
import { scrubber } from './scrub.ts'
import { spellingsOf } from './spellings.ts'

/** The library has these, and its types do not. */
interface Parts {
  readonly Sender: { frame(data: Buffer, options: object): Buffer[] }
  readonly Receiver: new (
    options: object,
  ) => {
    on(name: string, told: (...said: never[]) => void): void
    write(bytes: Buffer): void
  }
}
const { Sender, Receiver } = ws as unknown as Parts

const secret = `sk-${canary('frames')}`
const secrets = spellingsOf([secret])
const blind = { secrets, scrub: () => scrubber(secrets) }

const frame = (text: string | Buffer, { opcode = 1, fin = true, mask = false, rsv1 = false } = {}): Buffer =>
  Buffer.concat(
    Sender.frame(Buffer.from(text), {
      opcode,
      fin,
      mask,
      rsv1,
      readOnly: true,
    } as never) as unknown as Buffer[],
  )

/** What somebody hears of these bytes, that come in pieces of this length. */
async function heard(bytes: Buffer, length = bytes.length): Promise<string[]> {
  const receiver = new Receiver({ isServer: false, maxPayload: 0 })
  const told: string[] = []
  for (const name of ['message', 'ping', 'pong'])
    receiver.on(name, (data: Buffer) => told.push(`${name} ${data.toString('latin1')}`))
  receiver.on('conclude', (code: number, reason: Buffer) => told.push(`close ${code} ${reason}`))
  const frames = blindFrames(blind)
  const over = new Promise((resolve, reject) => frames.on('end', resolve).on('error', reject))
  frames.on('data', (piece: Buffer) => receiver.write(piece))
  for (let at = 0; at < bytes.length; at += length) frames.write(bytes.subarray(at, at + length))
  frames.end()
  await over
  return told
}

const stars = '*'.repeat(secret.length)

describe('[security 20.1] a secret in what is said over a WebSocket', () => {
  const long = 'x'.repeat(70_000)
  const said = Buffer.concat([
    frame(`a ${secret} b`),
    frame(secret.slice(0, 9), { fin: false }),
    frame(`ping ${secret}`, { opcode: 9 }),
    frame(secret.slice(9, 12), { opcode: 0, fin: false }),
    frame('', { opcode: 0, fin: false }),
    frame(secret.slice(12), { opcode: 0 }),
    frame(`${long}${secret}`, { opcode: 2 }),
    frame(''),
    frame(secret.slice(0, 5)),
    frame('y'.repeat(300)),
    frame(Buffer.concat([Buffer.from([3, 232]), Buffer.from(secret)]), { opcode: 8 }),
  ])
  const left = [
    `message a ${stars} b`,
    `ping ping ${stars}`,
    `message ${stars}`,
    `message ${long}${stars}`,
    'message ',
    `message ${secret.slice(0, 5)}`,
    `message ${'y'.repeat(300)}`,
    `close 1000 ${stars}`,
  ]

  it.each([said.length, 4096, 129, 7, 1])('is not heard, in pieces of %i', async (length) => {
    expect(await heard(said, length)).toEqual(left)
  })

  it.each([
    ['is packed', frame('x', { rsv1: true })],
    ['is masked', frame('x', { mask: true })],
    ['is a control frame of any length', Buffer.from([0x89, 126, 1, 0])],
  ])('is looked for in nothing that %s: that breaks it off', async (_, bytes) => {
    await expect(heard(bytes)).rejects.toThrow()
  })
})
