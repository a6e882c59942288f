/** One message of a server-sent stream. */
export interface StreamMessage {
  readonly id: string | undefined
  readonly event: string
  readonly data: string
}

/** Reads `text/event-stream` as the HTML standard describes it, as far as a door writes it. */
export async function* readMessages(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamMessage> {
  let lines: string[] = []
  for await (const line of readLines(body)) {
    if (line !== '') lines.push(line)
    else {
      const message = messageOf(lines)
      if (message !== undefined) yield message
      lines = []
    }
  }
}

async function* readLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}

/** Undefined for what holds nothing but comments. */
function messageOf(lines: readonly string[]): StreamMessage | undefined {
  const fields = lines.map((line) => /^([^:]*)(?:: ?)?(.*)$/s.exec(line) ?? [])
  const all = (name: string) => fields.filter(([, field]) => field === name).map(([, , value = '']) => value)
  const data = all('data')
  if (data.length === 0) return undefined
  return { id: all('id').at(-1), event: all('event').at(-1) ?? 'message', data: data.join('\n') }
}
