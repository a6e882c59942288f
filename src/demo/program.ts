import { request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { clock, type FromProgram, type Story } from './report.ts'
import { withTokenFile } from './token-file.ts'

// A process of its own: `program socket <path>` asks through Valetkey, `program file <path> <origin> <client>`
// with tokens of its own. It begins when it is told to, and asks until it is refused.

const BETWEEN_MS = 40

interface Answer {
  readonly status: number
  readonly text: string
}

/** Asks once; throws where nobody answers any more. */
export type Ask = () => Promise<Answer>

const [kind, path = '', origin = '', clientId = ''] = process.argv.slice(2)

function throughSocket(socketPath: string): Ask {
  return async () => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const asked = request({ socketPath, path: '/forward/practice/default/me' }, (response) => {
      let text = JSON.stringify(response.rawHeaders)
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      response.on('error', reject)
    })
    asked.on('error', reject)
    asked.end()
    return promise
  }
}

async function askUntilRefused(ask: Ask): Promise<Story> {
  let story = { requests: 0, lastByteAt: 0, heard: '' }
  for (;;) {
    const { status, text } = await ask().catch((error: Error) => ({ status: 0, text: error.message }))
    if (status !== 200) return { ...story, overAt: clock(), why: text }
    story = { requests: story.requests + 1, lastByteAt: clock(), heard: story.heard + text }
    if (story.requests === 1) say({ says: 'answered' })
    await pause(BETWEEN_MS)
  }
}

function say(what: FromProgram): void {
  process.send?.(what)
}

process.once('message', async () => {
  const ask = kind === 'socket' ? throughSocket(path) : withTokenFile({ path, origin, clientId })
  say({ says: 'over', story: await askUntilRefused(ask) })
})
process.once('disconnect', () => process.exit())
say({ says: 'ready' })
