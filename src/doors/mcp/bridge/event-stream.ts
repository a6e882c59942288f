/** One event of a stream that a server sends. */
export interface StreamEvent {
  readonly id: string | undefined
  /** Empty for one that only says where the stream stands. */
  readonly data: string
  /** How long to wait before it is asked for what follows. */
  readonly retryMs: number | undefined
}

const MOST_LETTERS = 64 * 1024 * 1024

/** Reads `text/event-stream` as the HTML standard describes it; a piece is taken when one is asked for. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  let fields: [string, string][] = []
  for await (const line of linesOf(body)) {
    const [, name = '', value = ''] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line) ?? []
    if (line !== '') fields.push([name, value])
    else {
      const event = eventOf(fields)
      fields = []
      if (event !== undefined) yield event
    }
  }
}

function eventOf(fields: readonly (readonly [string, string])[]): StreamEvent | undefined {
  const all = (wanted: string) => fields.flatMap(([name, value]) => (name === wanted ? [value] : []))
  const type = all('event').at(-1) ?? 'message'
  const id = all('id').findLast((value) => !value.includes('\0'))
  const retry = all('retry').findLast((value) => /^\d{1,9}$/.test(value))
  if (fields.every(([name]) => name === '')) return undefined
  return {
    id,
    data: type === 'message' ? all('data').join('\n') : '',
    retryMs: retry === undefined ? undefined : Number(retry),
  }
}

async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = ''
  for await (const text of body.pipeThrough(
    new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>,
  )) {
    // A line end may be torn apart, so a bare CR waits for what follows it.
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    if (rest.length > MOST_LETTERS) throw new Error('a message is too large')
    yield* lines
  }
}
