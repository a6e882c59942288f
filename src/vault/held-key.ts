import { ValetkeyError } from '#client'

/** The bytes of a key, until they are forgotten. */
export interface HeldKey {
  /** Throws `locked` once forgotten, so that nothing is ever sealed under a key of zeros. */
  use<R>(work: (bytes: Uint8Array) => R): R
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
  return {
    use: (work) => {
      if (forgotten) throw locked()
      return work(own)
    },
    forget: () => {
      forgotten = true
      own.fill(0)
    },
  }
}
