import { createMcpHandler } from '@modelcontextprotocol/server'
import { MOST_BYTES } from './requesting.ts'
import { type McpServerParts, mcpServer } from './server.ts'

/** A body of the size that the tools take, with what JSON adds to it when it stands in a string. */
const BODY_LIMIT = 4 * MOST_BYTES

/**
 * One request over streamable HTTP, of a caller that the door has proved. There are no sessions: nothing is
 * kept between two requests, so there is no id that could be stolen, guessed or used by somebody else.
 */
export async function answerMcp(
  request: Request,
  parts: McpServerParts,
  closing?: AbortSignal,
): Promise<Response> {
  const handler = createMcpHandler(() => mcpServer(parts), {
    responseMode: 'json',
    maxRequestBodySize: BODY_LIMIT,
    maxSubscriptions: 0,
  })
  const stop = () => void handler.close()
  closing?.addEventListener('abort', stop, { once: true })
  try {
    return await handler.fetch(request)
  } finally {
    closing?.removeEventListener('abort', stop)
  }
}
