import { ValetkeyError } from '#client'
import { Secret } from '../../model/secret.ts'
import type { KeySource } from '../../model/vault.ts'
import { keyFrom } from './key-text.ts'

const VARIABLE = 'VALETKEY_KEY'
const HINT = `the key is looked for in ${VARIABLE}: 32 bytes, as 64 hexadecimal digits or 43 of base64url`

/** The key is handed to the process by whoever starts it. */
export function environmentSource(env: Readonly<Record<string, string | undefined>>): KeySource {
  async function obtain(): Promise<Secret> {
    const text = env[VARIABLE]
    if (text === undefined || text === '')
      throw new ValetkeyError('locked', `the key of the vault is not in ${VARIABLE}`, { hint: HINT })
    const key = keyFrom(text)
    if (key === undefined)
      throw new ValetkeyError('wrong-key', `what is in ${VARIABLE} is no key`, { hint: HINT })
    return new Secret(key)
  }

  return {
    kind: 'environment',
    create: async () => ({ key: await obtain(), remembered: { variable: VARIABLE } }),
    obtain,
  }
}
