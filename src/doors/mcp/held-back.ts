/** What takes the place of a secret. */
export const HELD_BACK = '[held back by valetkey]'

const SECRETS = [
  'access_token',
  'refresh_token',
  'id_token',
  'client_secret',
  'client_assertion',
  'device_code',
  'code_verifier',
].join('|')
const HEADERS = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key', 'api-key'].join(
  '|',
)

const IN_JSON = new RegExp(`("(?:${SECRETS}|${HEADERS})"\\s{0,9}:\\s{0,9}")(?:[^"\\\\]|\\\\.)*(?:"|$)`, 'gi')
const IN_FORM = new RegExp(`\\b((?:${SECRETS})=)[^&\\s"'<>#]+`, 'gi')
const AS_HEADER = new RegExp(`^([ \\t>]{0,9}(?:${HEADERS}):[ \\t]{0,9})[^\\r\\n]+`, 'gim')

/**
 * The same text without what OAuth and HTTP call a secret, wherever it stands: a tool's answer is read by a
 * model and kept by a client, and a server may show in its answer what it was sent, or what it has just issued.
 */
export function heldBack(text: string): string {
  return text
    .replaceAll(IN_JSON, `$1${HELD_BACK}"`)
    .replaceAll(IN_FORM, `$1${HELD_BACK}`)
    .replaceAll(AS_HEADER, `$1${HELD_BACK}`)
}
