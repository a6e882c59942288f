import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { OAuth } from '../../model/provider.ts'
import type { Secret } from '../../model/secret.ts'
import { type Bound, newDpopKey, openDpopKey } from '../../protocol/dpop.ts'
import type { Server } from '../../protocol/server.ts'

/** A key of its own for an account whose tokens are to be bound (RFC 9449); undefined where nobody asks for that. */
export async function keyToBindTo({ dpop }: OAuth, { dpopAlgorithms }: Server): Promise<Secret | undefined> {
  if (!dpop) return undefined
  if (dpopAlgorithms?.includes('ES256') === false)
    throw new ValetkeyError(
      'provider-not-configured',
      'the provider binds tokens by no algorithm known here',
      {
        hint: 'its metadata name no ES256 among dpop_signing_alg_values_supported',
      },
    )
  return newDpopKey()
}

/** As a request for tokens needs it. */
export async function boundBy(key: Secret | undefined): Promise<{ readonly bound?: Bound }> {
  return key === undefined ? {} : { bound: await openDpopKey(key) }
}

/** The credential with the key that it is bound to, which is kept with it for as long as there is an account. */
export function bindTo(credential: Credential, key: Secret | undefined): Credential {
  if (key === undefined) return credential
  return { ...credential, tokenType: 'DPoP', kept: { ...credential.kept, dpopKey: key } }
}
