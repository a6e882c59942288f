// What comes from a provider or a program is shown to a person, never obeyed by the terminal: of all
// control sequences only the few colours used here pass.
const COLOURS = '\\u001b\\[(?:1|2|22|31|32|33|39)m'
const CONTROLS = '[\\u0000-\\u001f\\u007f-\\u009f\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]'
const SHOWN = new RegExp(`(${COLOURS})|\\u001b\\[[0-9;?]*[ -/]*[@-~]|${CONTROLS}`, 'gu')
const IN_JSON = /[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

export function plain(line: string): string {
  return line.replaceAll(SHOWN, (_, colour: string | undefined) => colour ?? '')
}

/** JSON for people and programs alike: what a terminal could obey is escaped. */
export function asJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replaceAll(
    IN_JSON,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
