import { usage } from './failure.ts'

/** Such headers carry secrets: valetkey puts them on itself, and they do not belong on a command line. */
const SECRET =
  /^(proxy-)?authorization$|^cookie$|(^|-)(api|application|access)-?key$|(^|-)(api|auth|access)-token$/
const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]{1,100}$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** `name: value`, as a request carries them. A body that is JSON says so by itself. */
export function headersOf(lines: readonly string[], data: string | undefined): Record<string, string> {
  const headers = Object.fromEntries(lines.map(headerOf))
  return data !== undefined && isJson(data) ? { 'content-type': 'application/json', ...headers } : headers
}

function headerOf(line: string): readonly [string, string] {
  const at = line.indexOf(':')
  const name = line.slice(0, Math.max(0, at)).trim().toLowerCase()
  const value = line.slice(at + 1).trim()
  if (SECRET.test(name)) throw usage(`valetkey puts ${name} on the request itself`, 'leave this header out')
  if (NAME.test(name) && VALUE.test(value)) return [name, value]
  throw usage('this is not a header', "write it as -H 'name: value'")
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object'
  } catch {
    return false
  }
}
