/** RFC 6749 §3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** Whether this can be the name of a scope: visible ASCII without spaces, quotes and backslashes. */
export function isScope(text: string): boolean {
  return SCOPE.test(text)
}
