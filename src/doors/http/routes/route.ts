import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import type { Caller } from '../../../model/caller.ts'
import type { Desk, KeeperDesk } from '../../../model/words.ts'
import { problemDocument } from '../../../wire/problem.ts'

/** The browser on the other side, where it is one that somebody signed in to the page with. */
export interface Browser {
  /** The cookie by which it is known again when it comes back to a sign-in that was begun in it. */
  bind(flow: string): string | undefined
  /** Whether the sign-in was begun in it, by somebody who is still signed in. */
  began(flow: string): boolean
  /** What takes the cookie away again. */
  forget(flow: string): string
}

/** What a listener knows of a request and the request cannot say of itself. */
export interface DoorEnv {
  /** Who the listener proved to be on the other side. */
  readonly caller?: Caller | undefined
  readonly browser?: Browser | undefined
  /** The connection that it came by, for whoever counts by that. */
  readonly connection?: object | undefined
  /** Aborted when the listener closes, so that what would stream for ever ends. */
  readonly closing?: AbortSignal | undefined
  /** Breaks the connection off, so that a half answer is not taken for a whole one. */
  readonly abandon?: (() => void) | undefined
}

export interface Room {
  readonly Bindings: DoorEnv
  readonly Variables: { readonly caller: Caller; readonly desk: Desk; readonly keeper: KeeperDesk }
}

export type App = OpenAPIHono<Room>

const REFUSAL = {
  description: 'Why it was not done, and what to do about it',
  headers: z.object({
    'Retry-After': z
      .string()
      .optional()
      .openapi({ description: 'Seconds to wait first, where that is known' }),
  }),
  content: { 'application/problem+json': { schema: problemDocument } },
}

/** The answers of a route; the refusals are documented here and thrown everywhere. */
export function answers<S extends z.ZodType>(schema: S, description: string) {
  const done = { 200: { description, content: { 'application/json': { schema } } } }
  return { ...done, default: REFUSAL } as typeof done
}

export function answersPicture(description: string) {
  const done = { 200: { description, content: { 'image/svg+xml': { schema: z.string() } } } }
  return { ...done, default: REFUSAL } as typeof done
}

export function answersNothing(description: string) {
  const done = { 204: { description } }
  return { ...done, default: REFUSAL } as typeof done
}

export function body<S extends z.ZodType>(schema: S, { required = true } = {}) {
  return { content: { 'application/json': { schema } }, required }
}

/** The id of something, or an account's address. */
export const named = z.object({ id: z.string().min(1).max(200) })

export { createRoute, z }
