import type * as said from '#client'
import type { Secret } from '../model/secret.ts'
import type { Lent, Narrowed } from '../model/words.ts'

/** A word as JSON has it. What holds a secret cannot be printed by accident: it has no printed form. */
export type Printed<T> = T extends Secret
  ? never
  : T extends Date | URL
    ? string
    : T extends readonly (infer E)[]
      ? Printed<E>[]
      : T extends object
        ? { -readonly [K in keyof T]: Printed<T[K]> }
        : T

export function print<T>(words: T): Printed<T> {
  return JSON.parse(JSON.stringify(words))
}

/** Here a secret leaves by a door: it was lent, and that is on record. */
export function printLent({ token, fields, ...rest }: Lent): Printed<said.Lent> {
  const revealed = Object.entries(fields).map(([name, secret]) => [name, secret.reveal()] as const)
  return { ...print(rest), token: token.reveal(), fields: Object.fromEntries(revealed) }
}

/** And here: a key of ours is shown once, when it is cut. */
export function printNarrowed({ key, secret }: Narrowed): Printed<said.Narrowed> {
  return { key: print(key), secret: secret?.reveal() ?? null }
}
