import { ValetkeyError } from '#client'

/** How long work begun inside a transaction waits for that transaction before it is called a deadlock. */
export const PATIENCE_MILLISECONDS = 1_000

export function waitsForItself(): ValetkeyError {
  return new ValetkeyError(
    'internal-error',
    'storage was asked from inside a transaction, but not through it',
  )
}

export function isOver(): ValetkeyError {
  return new ValetkeyError('internal-error', 'storage was asked through a transaction that is over')
}

export function isClosed(): ValetkeyError {
  return new ValetkeyError('internal-error', 'storage was asked after it was closed')
}
