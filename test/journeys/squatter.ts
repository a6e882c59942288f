import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline/promises'
import { startAsStranger } from './stranger.ts'

// Listens where it is told to, and says what comes there.
const PROGRAM = `
import { createServer } from 'node:http'
const [host, port] = process.argv.slice(1)
const say = (what) => process.stdout.write(what + '\\n')
createServer((request, response) => {
  say(request.url)
  response.end('Connected!')
}).listen(Number(port), host, () => say(''))
process.stdin.on('end', () => process.exit()).resume()`

/** Another user of this computer, on a port that was to be ours. */
export interface Squatter {
  readonly pid: number
  /** What the next browser came with. */
  next(): Promise<string>
  leave(): Promise<void>
}

export async function squat(host: '127.0.0.1' | '::1', port: number): Promise<Squatter> {
  const child = startAsStranger(PROGRAM, host, String(port))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = async () => String((await lines.next()).value)
  if ((await next()) !== '') throw new Error(`nobody could listen on ${host}`)
  return {
    pid: child.pid ?? 0,
    next,
    async leave() {
      const gone = once(child, 'exit')
      child.stdin.end()
      await gone
    },
  }
}

/** Whether nobody listens at an address of this computer. */
export async function isRefused({ port, hostname }: Pick<URL, 'port' | 'hostname'>): Promise<boolean> {
  const socket = connect(Number(port), hostname.replaceAll(/[[\]]/g, ''))
  const { promise, resolve } = Promise.withResolvers<boolean>()
  socket.once('connect', () => resolve(false)).once('error', () => resolve(true))
  const refused = await promise
  socket.destroy()
  return refused
}
