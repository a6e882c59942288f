import type { McpServer, ToolAnnotations } from '@modelcontextprotocol/server'
import type { z } from 'zod'
import { ValetkeyError } from '#client'
import { type Told, tell, tellRefusal } from './told.ts'

export interface Tool<S extends z.ZodType> {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly input: S
  readonly annotations: ToolAnnotations
  /** What it comes to; a refusal is thrown. */
  work(input: z.output<S>, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>>
}

/** A tool whose work is handed what its input says. */
export function tool<S extends z.ZodType>(one: Tool<S>): Tool<S> {
  return one
}

/**
 * The arguments are judged here and not by the library: what is wrong with them is then said as any refusal,
 * and nothing that somebody put among them by mistake is repeated.
 */
export function addTool<S extends z.ZodType>(server: McpServer, tool: Tool<S>): void {
  const { name, title, description, annotations, input, work } = tool
  const { jsonSchema } = input['~standard']
  const validate = (value: unknown) => ({ value })
  const inputSchema = { '~standard': { version: 1 as const, vendor: 'valetkey', validate, jsonSchema } }
  server.registerTool(name, { title, description, annotations, inputSchema }, (given, { mcpReq }) =>
    answering(() => work(read(input, given), mcpReq.signal)),
  )
}

/** Answers by what the work comes to, and by its refusal where it comes to nothing. */
async function answering(work: () => Promise<Readonly<Record<string, unknown>>>): Promise<Told> {
  try {
    return tell(await work())
  } catch (error) {
    return tellRefusal(error)
  }
}

function read<S extends z.ZodType>(input: S, given: unknown): z.output<S> {
  const { data, error, success } = input.safeParse(given ?? {})
  if (success) return data
  const [issue] = error.issues
  if (issue?.code === 'custom') throw new ValetkeyError('invalid-request', issue.message)
  const field = issue?.code === 'unrecognized_keys' ? undefined : issue?.path[0]
  throw new ValetkeyError(
    'invalid-request',
    field === undefined
      ? 'there is an argument that this tool does not take'
      : `the argument ${String(field)} is missing, or not as it should be`,
  )
}
