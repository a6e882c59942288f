import { inspect } from 'node:util'

const PRINTED = '[secret]'

const WRITING = new TextEncoder()
const READING = new TextDecoder()

/**
 * A value that refuses to be printed. It holds bytes of its own, which `forget` overwrites;
 * `reveal` is the only way to see it, and its name makes every bare place easy to find.
 */
export class Secret {
  readonly #bytes: Uint8Array

  constructor(value: string | Uint8Array) {
    this.#bytes = typeof value === 'string' ? WRITING.encode(value) : Uint8Array.from(value)
  }

  reveal(): string {
    return READING.decode(this.#bytes)
  }

  /** The bytes themselves, not a copy: they are zero once the secret is forgotten. */
  revealBytes(): Uint8Array {
    return this.#bytes
  }

  forget(): void {
    this.#bytes.fill(0)
  }

  [Symbol.dispose](): void {
    this.forget()
  }

  toString(): string {
    return PRINTED
  }

  toJSON(): string {
    return PRINTED
  }

  [Symbol.toPrimitive](): string {
    return PRINTED
  }

  [inspect.custom](): string {
    return PRINTED
  }
}
