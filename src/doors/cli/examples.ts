/** The end of a command's help. */
export function examples(...lines: readonly string[]): string {
  return ['', 'examples:', ...lines.map((line) => `  $ valetkey ${line}`)].join('\n')
}
