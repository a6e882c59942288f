import { type ForwardAnswer, ValetkeyError } from '#client'
import { heldBack } from './held-back.ts'
import type { Shown } from './words.ts'

/** What is worth knowing of an answer. The rest is between the provider and us. */
const WORTH_KNOWING =
  /^(content-type|date|etag|last-modified|link|location|retry-after|allow|(x-)?ratelimit-[\w-]+|(x-)?request-id)$/i

const AS_TEXT =
  /^(text\/|application\/([\w.+-]*\+)?(json|xml|yaml)\b|application\/(javascript|graphql|x-ndjson|x-www-form-urlencoded))/i

/** As much of an answer as is text and fits. */
export async function shownAnswer({ status, headers, body }: ForwardAnswer, limit: number): Promise<Shown> {
  const known = new Headers(headers.map(([name, value]) => [name, value]))
  const shown = { status, headers: worthKnowing(known) }
  if (body === null) return { ...shown, body: '' }
  const type = known.get('content-type') ?? ''
  if (!AS_TEXT.test(type)) {
    await body.cancel().catch(() => {})
    return {
      ...shown,
      body: '',
      notShown: `what came is no text but ${heldBack(type) || 'of no known kind'}`,
    }
  }
  const { text, whole } = await readText(body, limit)
  const cut = whole
    ? {}
    : { notShown: `what came was longer than the ${limit} bytes shown, or went on for too long` }
  return { ...shown, body: heldBack(text), ...cut }
}

function worthKnowing(headers: Headers): Record<string, string> {
  return Object.fromEntries(
    [...headers].filter(([name]) => WORTH_KNOWING.test(name)).map(([name, value]) => [name, heldBack(value)]),
  )
}

/** A stream that says nothing more in time is shown as far as it came. */
async function readText(body: ReadableStream<Uint8Array>, limit: number) {
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  const reader = body.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return { text: text + decoder.decode(), whole: true }
      const room = limit - size
      text += decoder.decode(value.subarray(0, room), { stream: true })
      size += value.byteLength
      if (size > limit) return { text, whole: false }
    }
  } catch (error) {
    if (error instanceof ValetkeyError || text === '') throw error
    return { text, whole: false }
  } finally {
    await reader.cancel().catch(() => {})
  }
}
