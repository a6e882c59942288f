import type { z } from 'zod'
import { ValetkeyError } from '#client'
import { Secret } from '../model/secret.ts'

export function remember(held: object): Secret {
  return new Secret(JSON.stringify(held))
}

/** What a flow wrote down the turn before, or the end of the sign-in. */
export function recall<S extends z.ZodType>(schema: S, memory: Secret): z.infer<S> {
  const found = schema.safeParse(parsed(memory.reveal()))
  if (found.success) return found.data
  throw new ValetkeyError('flow-failed', 'the memory of this sign-in cannot be read', {
    hint: 'begin it again',
  })
}

/** Undefined for what is no JSON: whoever reads it judges the shape anyway. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
