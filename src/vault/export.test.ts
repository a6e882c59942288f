import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'
import { sealExport } from './export.ts'
import { type ExportedRecord, MOST_BYTES, MOST_RECORDS } from './export-document.ts'
import { openExport } from './export-opening.ts'

const passphrase = canary('passphrase')
const now = () => new Date('2026-11-20T08:00:00.000Z')
const newId = () => randomUUID()

const secrets = { token: canary('token'), refresh: canary('refresh'), bob: canary('bob') }
const records: ExportedRecord[] = [
  {
    owner: 'person:ada',
    record: 'account-1',
    about: 'api.openai.com',
    fields: { worn: new Secret(secrets.token), kept: new Secret(secrets.refresh) },
    plain: { provider: 'openai', bucket: 'work — “ü”', connectedAt: 1_700_000_000_000, reason: null },
  },
  {
    owner: 'person:bob',
    record: 'account-2',
    about: '',
    fields: { worn: new Secret(secrets.bob) },
    plain: {},
  },
]

const made = sealExport({ records, passphrase: new Secret(passphrase), now, newId })

interface Written {
  readonly owners: readonly Record<string, string>[]
  readonly passphrase: Readonly<Record<string, string | number>>
  readonly [member: string]: unknown
}

type Change = (document: Written) => object

async function altered(change: Change): Promise<string> {
  const document: Written = JSON.parse(await made)
  return JSON.stringify({ ...document, ...change(document) })
}

/** The first owner's entry with something of it changed. */
const first = (change: (ada: Record<string, string>) => object): Change => {
  return ({ owners: [ada = {}, ...others] }) => ({ owners: [{ ...ada, ...change(ada) }, ...others] })
}

function swapped(name: string): Change {
  return ({ owners: [ada = {}, bob = {}] }) => ({
    owners: [
      { ...ada, [name]: bob[name] },
      { ...bob, [name]: ada[name] },
    ],
  })
}

async function codeOf(document: string, with_ = passphrase): Promise<string> {
  return await openExport(document, new Secret(with_)).then(
    () => 'opened',
    (error: { code?: string }) => String(error.code),
  )
}

const revealed = ({ fields, ...rest }: ExportedRecord) => ({
  ...rest,
  fields: Object.fromEntries(Object.entries(fields).map(([name, secret]) => [name, secret.reveal()])),
})

describe('an export', () => {
  it('gives back every record under its passphrase, and shows nothing of them without it', async () => {
    const document = await made
    const opened = await openExport(document, new Secret(passphrase))
    expect(opened.records.map(revealed)).toEqual(records.map(revealed))
    expect(opened.createdAt).toEqual(now())
    for (const word of [...Object.values(secrets), passphrase, 'openai', 'worn', 'account-1'])
      for (const encoding of ['utf8', 'hex', 'base64', 'base64url'] as const)
        expect(document).not.toContain(Buffer.from(word).toString(encoding).replace(/=*$/, ''))
    expect(await codeOf(document, canary('other'))).toBe('wrong-key')
  })

  it('of nothing is an export too, and still proves its passphrase', async () => {
    const empty = await sealExport({ records: [], passphrase: new Secret(passphrase), now, newId })
    expect((await openExport(empty, new Secret(passphrase))).records).toEqual([])
    expect(await codeOf(empty, canary('other'))).toBe('wrong-key')
  })

  it('[security 19.2] opens not at all when anything in it was altered, moved, left out or added', async () => {
    const flip = (text = '') => `${text[0] === 'A' ? 'B' : 'A'}${text.slice(1)}`
    const changes: Change[] = [
      () => ({ id: randomUUID() }),
      () => ({ createdAt: '2026-11-21T08:00:00.000Z' }),
      ({ check }) => ({ check: flip(String(check)) }),
      ({ owners }) => ({ owners: owners.slice(1) }),
      ({ owners }) => ({ owners: owners.toReversed() }),
      ({ owners }) => ({ owners: [...owners, owners[0]] }),
      () => ({ owners: [] }),
      ...['owner', 'keyId', 'wrappedKey', 'sealed'].map(swapped),
      first(({ sealed }) => ({ sealed: flip(sealed) })),
    ]
    for (const change of changes)
      expect(['tampered', 'wrong-key']).toContain(await codeOf(await altered(change)))
  })

  it('[security 19.4] is not opened with a weaker derivation than was ever written', async () => {
    const weaker = { memory: 1_024, passes: 1, parallelism: 1, kdf: 'scrypt' }
    for (const [name, value] of Object.entries(weaker)) {
      const document = await altered(({ passphrase: told }) => ({ passphrase: { ...told, [name]: value } }))
      expect(await codeOf(document)).toBe('invalid-request')
    }
  })

  it('says which version it is, and lets nobody else say it', async () => {
    expect(await codeOf(await altered(() => ({ version: 1 })))).toBe('wrong-key')
    expect(await codeOf(await altered(() => ({ version: 3, more: true })))).toBe('newer-schema')
  })

  it('has a size that can be read anywhere', async () => {
    const [record] = records
    const many = Array.from({ length: MOST_RECORDS + 1 }, () => record as ExportedRecord)
    const sealing = sealExport({ records: many, passphrase: new Secret(passphrase), now, newId })
    await expect(sealing).rejects.toMatchObject({ code: 'too-large' })
    expect(await codeOf(' '.repeat(MOST_BYTES + 1))).toBe('too-large')
  })

  it('is refused when it is anything else', async () => {
    const document = await made
    const others = ['', '{}', 'null', '[]', document.slice(0, -20), document.slice(20)]
    for (const other of others) expect(await codeOf(other)).toBe('invalid-request')
    const changes: Change[] = [
      () => ({ version: 0 }),
      () => ({ version: '2' }),
      () => ({ format: 'other' }),
      () => ({ more: true }),
      ({ check }) => ({ check: `${check}=` }),
      first(({ sealed }) => ({ sealed: `${sealed}!` })),
      first(() => ({ owner: 'nobody' })),
    ]
    for (const change of changes) expect(await codeOf(await altered(change))).toBe('invalid-request')
  })
})
