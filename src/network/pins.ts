import { createHash, type X509Certificate } from 'node:crypto'
import { TLSSocket } from 'node:tls'
import { ValetkeyError } from '#client'
import { PIN } from '../model/network.ts'

/** Which keys the certificate of a host may have. */
export interface Pins {
  /** Undefined for a host that is not pinned. */
  of(url: URL): ReadonlySet<string> | undefined
}

export type PinsByHost = Readonly<Record<string, readonly string[]>>

/** Several pins of one host are alternatives, so that a server can change its key. */
export function pinsBy(byHost: PinsByHost): Pins {
  const pins = new Map(Object.entries(byHost).map(([host, some]) => [written(host), read(host, some)]))
  return { of: ({ hostname }) => pins.get(written(hostname)) }
}

/** A dot at its end makes no other host of it. */
function written(host: string): string {
  return host.toLowerCase().replace(/\.+$/, '')
}

function read(host: string, pins: readonly string[]): ReadonlySet<string> {
  if (pins.length > 0 && pins.every((pin) => PIN.test(pin))) return new Set(pins)
  throw new ValetkeyError('config-invalid', `a pin of ${host} cannot be read`, {
    hint: 'write sha256/ and the digest of its public key in base64',
  })
}

/** A certificate's key as a pin names it; the same when the certificate is renewed with its key. */
export function pinOf(certificate: X509Certificate): string {
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' })
  return `sha256/${createHash('sha256').update(key).digest('base64')}`
}

/**
 * Throws `certificate-pin` unless the other end of the connection has one of these keys. Its own
 * certificate counts and none above it: what else a server sends along proves nothing.
 */
export function judgePin(socket: unknown, host: string, pins: ReadonlySet<string>): void {
  const shown = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined
  if (shown !== undefined && pins.has(pinOf(shown))) return
  const what = shown === undefined ? 'no certificate' : 'a certificate that is not among its pins'
  throw new ValetkeyError('certificate-pin', `${host} showed ${what}, so nothing was sent there`, {
    hint: 'if its owner changed the key, change its pins in the configuration or in the provider file',
  })
}
