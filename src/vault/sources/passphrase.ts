import type { Secret } from '../../model/secret.ts'
import type { KeySource } from '../../model/vault.ts'
import { locked } from '../held-key.ts'
import { deriveKey, freshParameters, readParameters } from '../kdf.ts'

/** The key is derived from what a person knows; without a passphrase the vault stays locked. */
export function passphraseSource(passphrase: Secret | undefined): KeySource {
  function told(): Secret {
    if (passphrase === undefined) throw locked('the vault is locked with a passphrase')
    return passphrase
  }

  return {
    kind: 'passphrase',
    async create() {
      const remembered = freshParameters()
      return { key: await deriveKey(told(), remembered), remembered }
    },
    obtain: async (remembered) => await deriveKey(told(), readParameters(remembered)),
  }
}
