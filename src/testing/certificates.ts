import { generateKeyPairSync, randomBytes } from 'node:crypto'
import forge from 'node-forge'

const DAY_MS = 24 * 60 * 60_000

/** A certificate with its key, as a TLS server takes them. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

export interface Leaf {
  /** Names and addresses that it is for. */
  readonly hosts: readonly string[]
  readonly until?: Date
  /** The key, as PEM, that an older certificate had. */
  readonly key?: string
}

/** An authority of one's own, which nobody trusts who is not told to. */
export interface Authority {
  readonly cert: string
  issue(leaf: Leaf): Certificate
}

export function authority(name = 'An authority for tests'): Authority {
  const keys = keysOf(newKey())
  const root = blank(keys, name, new Date(Date.now() + DAY_MS))
  root.setIssuer(root.subject.attributes)
  root.setExtensions([{ name: 'basicConstraints', cA: true, critical: true }])
  root.sign(keys.privateKey, forge.md.sha256.create())

  function issue({ hosts, until = new Date(Date.now() + DAY_MS), key = newKey() }: Leaf): Certificate {
    const leaf = blank(keysOf(key), hosts[0] ?? 'nobody', until)
    leaf.setIssuer(root.subject.attributes)
    leaf.setExtensions([
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'subjectAltName', altNames: hosts.map(altName) },
    ])
    leaf.sign(keys.privateKey, forge.md.sha256.create())
    return { cert: forge.pki.certificateToPem(leaf), key }
  }

  return { cert: forge.pki.certificateToPem(root), issue }
}

export function newKey(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
}

function keysOf(pem: string) {
  const privateKey = forge.pki.privateKeyFromPem(pem)
  return { privateKey, publicKey: forge.pki.setRsaPublicKey(privateKey.n, privateKey.e) }
}

function blank(
  { publicKey }: ReturnType<typeof keysOf>,
  commonName: string,
  until: Date,
): forge.pki.Certificate {
  const made = forge.pki.createCertificate()
  made.publicKey = publicKey
  made.serialNumber = `01${randomBytes(15).toString('hex')}`
  made.validity.notBefore = new Date(until.getTime() - 2 * DAY_MS)
  made.validity.notAfter = until
  made.setSubject([{ name: 'commonName', value: commonName }])
  return made
}

// The kinds of names in RFC 5280 §4.2.1.6.
function altName(host: string) {
  return /^[\d.]+$/.test(host) ? { type: 7, ip: host } : { type: 2, value: host }
}
