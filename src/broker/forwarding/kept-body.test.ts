import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { type KeptBody, keepBody } from './kept-body.ts'

const MB = 1024 * 1024

async function read({ body }: KeptBody): Promise<string> {
  let text = ''
  for await (const piece of body instanceof Readable ? body : []) text += piece
  return text
}

describe('a body that is sent', () => {
  it('is there once more, if it is no longer than a megabyte', async () => {
    const kept = keepBody(Readable.from([Buffer.from('one '), Buffer.from('two')]), true)
    expect(await read(kept)).toBe('one two')
    expect(String(await kept.whole())).toBe('one two')
    const long = keepBody(Readable.from([Buffer.alloc(MB), Buffer.alloc(1)]), true)
    expect(await read(long)).toHaveLength(MB + 1)
    expect(await long.whole()).toBeUndefined()
    expect(await keepBody('text', true).whole()).toBe('text')
    expect(await keepBody(Buffer.alloc(MB + 1), true).whole()).toBeUndefined()
  })

  it('is read on where whoever took it has left, and whoever sends it is not cut off', async () => {
    const source = new PassThrough()
    const kept = keepBody(source, true)
    source.write('one ')
    const body = kept.body as Readable
    body.once('data', () => body.destroy())
    await once(body, 'close')
    source.end('two')
    expect(String(await kept.whole())).toBe('one two')
    expect(source.errored).toBeNull()
  })

  it('is given up where it does not come to an end', async () => {
    const source = new PassThrough()
    const kept = keepBody(source, true)
    source.write('one')
    ;(kept.body as Readable).resume()
    expect(await kept.whole()).toBeUndefined()
  })

  it('breaks off where its source does', async () => {
    for (const before of [true, false]) {
      const source = new PassThrough()
      if (before) source.destroy()
      const { body } = keepBody(source, false)
      if (!before) source.destroy()
      const [error] = await once(body as Readable, 'error').catch((thrown) => [thrown])
      expect(error.message).toContain('broke off')
    }
  })

  it('is taken no faster than it is sent', async () => {
    let made = 0
    const source = Readable.from(
      (function* () {
        for (; made < 1000; made += 1) yield Buffer.alloc(64 * 1024)
      })(),
      { objectMode: false },
    )
    const { body } = keepBody(source, true)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(made).toBeLessThan(20)
    ;(body as Readable).destroy()
    source.destroy()
  })
})
