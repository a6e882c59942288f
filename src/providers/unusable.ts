import { ValetkeyError } from '#client'

/** A provider file that cannot be used: which one, and what is wrong with it. */
export function unusable(
  file: string,
  words: string,
  hint = 'provider.schema.json says what may stand in a provider file',
): ValetkeyError {
  return new ValetkeyError('config-invalid', `${file}: ${words}`, { hint })
}
