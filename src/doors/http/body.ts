import type { MiddlewareHandler } from 'hono'
import { ValetkeyError } from '#client'

export const BODY_LIMIT = 64 * 1024

/** Takes a body in up to the limit, for whoever parses it afterwards. */
export function limitedBody(limit = BODY_LIMIT): MiddlewareHandler {
  return async (c, next) => {
    const { raw } = c.req
    if (Number(raw.headers.get('content-length') ?? 0) > limit) throw tooLarge(limit)
    if (raw.body !== null) {
      const body = await readBytes(raw.body, limit)
      const { method, headers, signal } = raw
      c.req.raw = new Request(raw.url, { method, headers: [...headers], signal, body })
    }
    await next()
  }
}

async function readBytes(body: ReadableStream<Uint8Array>, limit: number): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.byteLength
    if (size > limit) throw tooLarge(limit)
    chunks.push(chunk)
  }
  return size === 0 ? null : Buffer.concat(chunks)
}

function tooLarge(limit: number): ValetkeyError {
  return new ValetkeyError('too-large', `the body is larger than ${limit / 1024} kb`)
}
