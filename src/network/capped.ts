import { Writable } from 'node:stream'
import { ValetkeyError } from '#client'

/** The same, which ends with an error at more than so many bytes. */
export function capped(into: Writable, url: URL, maxBytes: number | undefined): Writable {
  if (maxBytes === undefined) return into
  let left = maxBytes
  const counting = new Writable({
    write(chunk: Buffer, _, done) {
      left -= chunk.byteLength
      if (left < 0)
        return done(new ValetkeyError('response-too-large', `${url.host} answered more than is taken`))
      if (into.write(chunk)) done()
      else into.once('drain', done)
    },
    final: (done) => void into.end(done),
    destroy(error, done) {
      if (!into.writableFinished) into.destroy()
      done(error)
    },
  })
  into.on('close', () => into.writableFinished || counting.destroy())
  return counting
}
