import { ValetkeyError } from '#client'

/** Nothing is had by this reference, and it says why. Nothing that was read stands in it. */
export function unread(reference: string, why: string, hint: string): ValetkeyError {
  return new ValetkeyError('reference-unreadable', `${reference} cannot be read: ${why}`, { hint })
}

export function malformed(why: string, hint: string): ValetkeyError {
  return new ValetkeyError('invalid-request', `this is no reference: ${why}`, { hint })
}
