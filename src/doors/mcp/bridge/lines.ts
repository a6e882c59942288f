import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'

const LONGEST = 64 * 1024 * 1024

/** The lines of a stream that are not empty. */
export async function* linesOf(input: Readable): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let pieces: string[] = []
  let size = 0
  for await (const chunk of input) {
    const [first = '', ...more] = (
      typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
    ).split('\n')
    pieces.push(first)
    size += first.length
    if (size > LONGEST) throw new Error('a line is too long')
    for (const next of more) {
      const line = pieces.join('').trim()
      pieces = [next]
      size = next.length
      if (line !== '') yield line
    }
  }
  const last = pieces.join('').trim()
  if (last !== '') yield last
}

/** Writes whole lines, one after the other, as fast as they are read at the other end. */
export function lineWriter(output: Writable, gone: () => void): (line: string) => Promise<void> {
  let open = true
  let turn = Promise.resolve()
  const closed = () => {
    open = false
    gone()
  }
  output.once('error', closed)
  output.once('close', closed)
  return (line) => {
    turn = turn.then(async () => {
      if (open && !output.write(`${line}\n`))
        await Promise.race([once(output, 'drain'), once(output, 'close')]).catch(() => {})
    })
    return turn
  }
}
