import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { request } from './http-client.ts'
import type { Stage } from './stage.ts'

const STREAMS = 20
const KEY = `sk-proj-${'1'.repeat(48)}`
const ENDLESS = request('GET', '/forward/openai/revoked/endless', { 'valetkey-request': '1' })

interface Listening {
  readonly socket: Socket
  lastAt: number
  over: boolean
}

async function listen(path: string): Promise<Listening> {
  const socket = connect(path)
  const one: Listening = { socket, lastAt: 0, over: false }
  socket.on('data', () => {
    one.lastAt = performance.now()
  })
  socket.on('close', () => {
    one.over = true
  })
  socket.on('error', () => socket.destroy())
  socket.write(ENDLESS)
  await once(socket, 'data')
  return one
}

/** Many streams of an account are under way; it is revoked. How long after that was asked came the last byte of any? */
export async function lastByteAfterRevoke({ desk, socket }: Stage): Promise<number> {
  const { id, step } = await desk.connect({ provider: 'openai', bucket: 'revoked', fields: { key: KEY } })
  if (step !== null) throw new Error(`the sign-in ${id} asks for ${step.ask}`)
  const all = await Promise.all(Array.from({ length: STREAMS }, () => listen(socket)))
  await pause(50)
  const asked = performance.now()
  await desk.revoke('openai/revoked')
  await pause(200)
  const last = Math.max(...all.map(({ lastAt }) => lastAt))
  const alive = all.filter(({ over }) => !over).length
  for (const one of all) one.socket.destroy()
  if (alive > 0) throw new Error(`${alive} of ${STREAMS} streams live on`)
  return Math.max(0, last - asked)
}
