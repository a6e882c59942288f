import { createServer } from 'node:net'
import { frame, frames } from '../framed.ts'

/** The least that a framed server can do: it reads each message, and answers it with its payload. */
const [path = ''] = process.argv.slice(2)

interface Asked {
  readonly id: string
  readonly payload: unknown
}

const server = createServer((socket) => {
  socket.on(
    'data',
    frames((message) => {
      const { id, payload } = message as Asked
      socket.write(frame({ id, ok: true, data: payload }))
    }),
  )
  socket.on('error', () => socket.destroy())
})
server.listen(path, () => process.send?.('listening'))
process.on('disconnect', () => process.exit())
