import { argon2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { z } from 'zod'
import { ValetkeyError } from '#client'
import { Secret } from '../model/secret.ts'
import { KEY_LENGTH, tampered } from './envelope.ts'

// RFC 9106, the second recommended option: 64 MiB, three passes, four lanes. It is what is written,
// and the least that is read. The most that is read keeps a forged vault from eating the machine.
const FLOOR = { memory: 65_536, passes: 3, parallelism: 4 } as const
const CEILING = { memory: 1_048_576, passes: 32, parallelism: 32 } as const
const SALT_LENGTH = 16

const between = (name: keyof typeof FLOOR) => z.number().int().min(FLOOR[name]).max(CEILING[name])

/** How a passphrase becomes a key: Argon2id, memory in KiB. */
export const kdfSchema = z.strictObject({
  kdf: z.literal('argon2id'),
  memory: between('memory'),
  passes: between('passes'),
  parallelism: between('parallelism'),
  salt: z.string().regex(/^[A-Za-z0-9_-]{22}$/),
})

type KdfParameters = z.infer<typeof kdfSchema>

export function freshParameters(): KdfParameters {
  return { kdf: 'argon2id', ...FLOOR, salt: randomBytes(SALT_LENGTH).toString('base64url') }
}

/** Throws `tampered` for a derivation that is weaker than any that was ever written. */
export function readParameters(read: unknown): KdfParameters {
  const { data, error } = kdfSchema.safeParse(read)
  if (data === undefined) throw tampered(error)
  return data
}

/** One person's keyboard writes é in one piece, another's in two: NFC makes them the same. */
function bytesOf(passphrase: Secret): Buffer {
  const text = passphrase.reveal().normalize('NFC')
  if (text === '')
    throw new ValetkeyError('invalid-request', 'the passphrase is empty', { hint: 'think of a longer one' })
  return Buffer.from(text, 'utf8')
}

const derive = promisify(argon2)

export async function deriveKey(passphrase: Secret, parameters: KdfParameters): Promise<Secret> {
  const { memory, passes, parallelism, salt } = parameters
  const message = bytesOf(passphrase)
  const nonce = Buffer.from(salt, 'base64url')
  try {
    const key = await derive('argon2id', {
      message,
      nonce,
      parallelism,
      passes,
      memory,
      tagLength: KEY_LENGTH,
    })
    const secret = new Secret(key)
    key.fill(0)
    return secret
  } catch (error) {
    // Some builds of Node have the function and no Argon2 behind it; only the call shows that.
    throw new ValetkeyError('config-invalid', 'no key can be derived from a passphrase here', {
      hint: 'take the key from a file instead: valetkey vault rekey --source file',
      cause: error,
    })
  } finally {
    message.fill(0)
  }
}
