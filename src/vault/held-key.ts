import { createSecretKey, type KeyObject } from 'node:crypto'
import { ValetkeyError } from '#client'

/** The bytes of a key, until they are forgotten. */
export interface HeldKey {
  /** Throws `locked` once forgotten, so that nothing is ever sealed under a key of zeros. */
  use<R>(work: (bytes: Uint8Array) => R): R
  /** The same for ciphers, which take far longer over bytes than over a key that was made ready for them. */
  ready(): KeyObject
  forget(): void
}

export function locked(message = 'the vault is locked', hint = 'valetkey vault unlock'): ValetkeyError {
  return new ValetkeyError('locked', message, { hint })
}

/** Takes the bytes over: those handed in are zeroed. */
export function holdKey(bytes: Uint8Array): HeldKey {
  const own = Uint8Array.from(bytes)
  bytes.fill(0)
  let forgotten = false
  // Its memory is wiped by the runtime, when nobody holds it any more.
  let ready: KeyObject | undefined

  function use<R>(work: (bytes: Uint8Array) => R): R {
    if (forgotten) throw locked()
    return work(own)
  }

  return {
    use,
    ready: () => {
      ready ??= use((bare) => createSecretKey(bare))
      return ready
    },
    forget: () => {
      forgotten = true
      ready = undefined
      own.fill(0)
    },
  }
}
