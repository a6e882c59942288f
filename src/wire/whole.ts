import type { z } from '@hono/zod-openapi'

/** Parsed JSON has no undefined fields, but the type of a parsed optional field says it might. */
type Lax<W> = W extends readonly (infer E)[]
  ? readonly Lax<E>[]
  : W extends object
    ? { [K in keyof W]: Record<never, never> extends Pick<W, K> ? Lax<W[K]> | undefined : Lax<W[K]> }
    : W

/** The schema of a whole word: a field that the word has and the schema lacks is a type error. */
export type Whole<W> = z.ZodType<Lax<W>> & {
  readonly shape: { readonly [K in keyof W]-?: z.ZodType }
}

/** A closed list of words as an enum; one that is left out is a type error. */
export type Each<W extends string> = { readonly [K in W]: K }
