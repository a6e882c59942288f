import type { Secret } from './secret.ts'

/** What lies elsewhere at this moment. */
export interface Read {
  readonly value: Secret
  /** When the value itself is dead; null where nobody says that it ever is. */
  readonly until: Date | null
  /** When it has to be read again at the latest, though it may live on. */
  readonly again?: Date | undefined
}

/** Values that are kept elsewhere, and read there whenever they are needed. */
export interface References {
  /** Throws `invalid-request` for what is no reference, and `reference-unreadable` where nothing is to be had by it. */
  read(text: string): Promise<Read>
}

const REFERENCE = /^(op:\/\/|vault:\/\/|exec:)/

/** Whether a value is no value, and only says where one is. It is no secret. */
export function isReference(text: string): boolean {
  return REFERENCE.test(text.trim())
}
