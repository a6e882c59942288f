import { execFile, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import { gcm } from '@noble/ciphers/aes.js'
import { argon2id } from '@noble/hashes/argon2.js'
import { describe, expect, it } from 'vitest'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'
import { sealExport } from './export.ts'
import type { ExportedRecord } from './export-document.ts'

// Two readers written from docs/format.md alone, over other people's cryptography. What they find is
// compared with what was put in; nothing of this room is used for reading.

const passphrase = `${canary('passphrase')}e\u0301`
const records: ExportedRecord[] = [
  {
    owner: 'person:ada',
    record: 'account-1',
    about: 'api.openai.com',
    fields: { worn: new Secret(canary('worn')), kept: new Secret(Uint8Array.of(0, 255, 128)) },
    plain: { provider: 'openai', bucket: 'größer', connectedAt: 1_700_000_000_000, reason: null },
  },
  {
    owner: 'installation',
    record: 'client-1',
    about: 'https://login.example.com',
    fields: { clientSecret: new Secret(canary('clientsecret')) },
    plain: { clientId: 'one', redirectUri: null },
  },
  { owner: 'group:team', record: 'account-2', about: '', fields: {}, plain: {} },
]

const expected = records.map(({ fields, ...rest }) => ({
  ...rest,
  fields: Object.fromEntries(
    Object.entries(fields).map(([name, secret]) => [
      name,
      Buffer.from(secret.revealBytes()).toString('base64url'),
    ]),
  ),
}))

const made = sealExport({
  records,
  passphrase: new Secret(passphrase),
  now: () => new Date(),
  newId: () => randomUUID(),
})

interface Document {
  version: number
  id: string
  createdAt: string
  passphrase: { kdf: string; memory: number; passes: number; parallelism: number; salt: string }
  check: string
  owners: { owner: string; keyId: string; wrappedKey: string; sealed: string }[]
}

const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'base64url'))

function list(texts: readonly (string | number)[]): Uint8Array {
  const encoded = texts.map((text) => new TextEncoder().encode(String(text)))
  const out = new Uint8Array(4 + encoded.reduce((sum, one) => sum + 4 + one.length, 0))
  const view = new DataView(out.buffer)
  view.setUint32(0, encoded.length)
  let at = 4
  for (const one of encoded) {
    view.setUint32(at, one.length)
    out.set(one, at + 4)
    at += 4 + one.length
  }
  return out
}

function open(
  key: Uint8Array,
  label: string,
  texts: readonly (string | number)[],
  sealed: Uint8Array,
): Uint8Array {
  if (sealed[0] !== 1 || sealed.length < 29) throw new Error('not version 1')
  const [nonce, tag, ciphertext] = [sealed.slice(1, 13), sealed.slice(13, 29), sealed.slice(29)]
  const joined = new Uint8Array([...ciphertext, ...tag])
  return gcm(key, nonce, list([label, 1, ...texts])).decrypt(joined)
}

function read(document: Document): unknown[] {
  const { kdf, memory, passes, parallelism, salt } = document.passphrase
  const head = [
    document.version,
    document.id,
    document.createdAt,
    kdf,
    memory,
    passes,
    parallelism,
    salt,
    document.owners.length,
  ]
  const key = argon2id(new TextEncoder().encode(passphrase.normalize('NFC')), bytes(salt), {
    t: passes,
    m: memory,
    p: parallelism,
    dkLen: 32,
  })
  const check = open(key, 'valetkey export check', head, bytes(document.check))
  expect(new TextDecoder().decode(check)).toBe('valetkey')
  return document.owners.flatMap(({ owner, keyId, wrappedKey, sealed }, index) => {
    const seat = [...head, owner, keyId, index]
    const dataKey = open(key, 'valetkey export key', seat, bytes(wrappedKey))
    const plain = open(dataKey, 'valetkey export', seat, bytes(sealed))
    const found: object[] = JSON.parse(new TextDecoder().decode(plain))
    return found.map((record) => ({ ...record, owner }))
  })
}

const PYTHON = `
import base64, json, struct, sys, unicodedata
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

told = json.load(sys.stdin)
doc, passphrase = told['document'], told['passphrase']

def b64(text):
    return base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))

def texts(*parts):
    encoded = [str(part).encode('utf-8') for part in parts]
    return struct.pack('>I', len(encoded)) + b''.join(struct.pack('>I', len(one)) + one for one in encoded)

def opened(key, label, parts, sealed):
    assert sealed[0] == 1 and len(sealed) >= 29
    return AESGCM(key).decrypt(sealed[1:13], sealed[29:] + sealed[13:29], texts(label, 1, *parts))

k = doc['passphrase']
kdf = Argon2id(salt=b64(k['salt']), length=32, iterations=k['passes'], lanes=k['parallelism'], memory_cost=k['memory'])
key = kdf.derive(unicodedata.normalize('NFC', passphrase).encode('utf-8'))
head = [doc['version'], doc['id'], doc['createdAt'], k['kdf'], k['memory'], k['passes'], k['parallelism'], k['salt'], len(doc['owners'])]
assert opened(key, 'valetkey export check', head, b64(doc['check'])) == b'valetkey'
found = []
for index, one in enumerate(doc['owners']):
    seat = head + [one['owner'], one['keyId'], index]
    data_key = opened(key, 'valetkey export key', seat, b64(one['wrappedKey']))
    for record in json.loads(opened(data_key, 'valetkey export', seat, b64(one['sealed']))):
        found.append({**record, 'owner': one['owner']})
print(json.dumps(found))
`

const IMPORTS = `from cryptography.hazmat.primitives.kdf.argon2 import Argon2id`
const hasPython = spawnSync('python3', ['-c', IMPORTS]).status === 0
const why = hasPython ? '' : ' (skipped: python3 with its cryptography package is not here)'

async function readByPython(document: Document): Promise<unknown> {
  const running = promisify(execFile)('python3', ['-c', PYTHON])
  running.child.stdin?.end(JSON.stringify({ document, passphrase }))
  return JSON.parse((await running).stdout)
}

describe('an export, by its written format alone', () => {
  it('opens for a reader over noble’s cryptography', async () => {
    expect(read(JSON.parse(await made))).toEqual(expected)
  })

  it.skipIf(!hasPython)(`opens for a reader in Python${why}`, async () => {
    expect(await readByPython(JSON.parse(await made))).toEqual(expected)
  })

  if (!hasPython) process.stderr.write(`an export was not read in Python${why}\n`)
})
