import type { MiddlewareHandler } from 'hono'
import { ValetkeyError } from '#client'
import { isOwner } from '../../model/caller.ts'
import type { Room } from './routes/route.ts'

export const BODY_LIMIT = 64 * 1024
/** An export of 64 MiB, with what JSON adds to it when it stands in a string. */
const IMPORT_LIMIT = 72 * 1024 * 1024
const IMPORT = '/api/vault/import'

/** Takes a body in up to its limit, for whoever parses it afterwards. */
export function limitedBody(): MiddlewareHandler<Room> {
  return async (c, next) => {
    const { raw } = c.req
    // By the kernel's word it is the owner who sends so much; a page has nothing that is so large.
    const { caller } = c.var
    const mayBeLarge = c.req.path === IMPORT && isOwner(caller) && caller.proof.uid !== undefined
    const limit = mayBeLarge ? IMPORT_LIMIT : BODY_LIMIT
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
