/**
 * The address that a browser would have come back to: what was pasted is that whole address, or the code
 * alone, or the code with the state behind a `#`. Where no state was pasted it is the one that the person
 * was sent away with, who has just said that the code belongs to this sign-in.
 */
export function broughtBack(pasted: string, left: URL): URL {
  const text = pasted.trim()
  const whole = /^https?:/i.test(text) ? URL.parse(text) : null
  if (whole !== null) return whole
  const [code = '', state = left.searchParams.get('state')] = text.split('#')
  const back = URL.parse(left.searchParams.get('redirect_uri') ?? '') ?? new URL('http://127.0.0.1/')
  back.searchParams.set('code', code)
  if (state !== null) back.searchParams.set('state', state)
  return back
}
