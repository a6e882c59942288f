import { ValetkeyError } from '#client'

/** The whole body, if it is no larger than this. What is larger is cut off, not read to its end. */
export async function readLimited(response: Response, maxBytes: number): Promise<Uint8Array> {
  if (Number(response.headers.get('content-length') ?? 0) > maxBytes) {
    await response.body?.cancel()
    throw tooLarge(maxBytes)
  }
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of response.body ?? []) {
    size += piece.byteLength
    if (size > maxBytes) throw tooLarge(maxBytes)
    pieces.push(piece)
  }
  return Buffer.concat(pieces, size)
}

/** The body as JSON; what is none is a `bad-answer`, and is not quoted. */
export async function readJson(response: Response, maxBytes: number): Promise<unknown> {
  const bytes = await readLimited(response, maxBytes)
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new ValetkeyError('bad-answer', 'the answer is not JSON')
  }
}

function tooLarge(maxBytes: number): ValetkeyError {
  return new ValetkeyError('response-too-large', `the answer is larger than ${maxBytes} bytes`)
}
