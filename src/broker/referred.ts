import { formatAddress, ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { Read } from '../model/references.ts'
import { Secret } from '../model/secret.ts'
import type { AccountRow } from '../model/storage.ts'
import type { Whole } from './grants.ts'
import type { Kit } from './kit.ts'

type Of = Pick<AccountRow, 'owner' | 'provider' | 'bucket'>
type Fields = Credential['worn']

/** Whether what a request wears lies elsewhere. */
export function wearsReference({ worn, references = {} }: Credential): boolean {
  return Object.keys(references).some((field) => Object.hasOwn(worn, field))
}

/** The grant with what its references stand for in the place of those that are worn. */
export async function withWorn(kit: Kit, whole: Whole, leftMs = 0): Promise<Whole> {
  if (!wearsReference(whole.credential)) return whole
  const { worn } = whole.credential
  const read = await readAll(kit, whole.account, whole.credential, { among: worn, leftMs })
  return { ...whole, credential: filledIn(whole.credential, read) }
}

/** The same for all that there is of a credential, such as what it is renewed with. It refers to nothing then. */
export async function withAll(kit: Kit, account: Of, credential: Credential): Promise<Credential> {
  if (credential.references === undefined) return credential
  const among = { ...credential.worn, ...credential.kept }
  const read = await readAll(kit, account, credential, { among })
  const { references: _, ...filled } = filledIn(credential, read)
  return filled
}

/** What came of a credential that was filled in, with its references back in their places. */
export function referringAgain(before: Credential, filled: Credential, fresh: Credential): Credential {
  const still = Object.entries(before.references ?? {}).filter(([field]) => {
    const value = fresh.kept[field]?.reveal()
    return value !== undefined && value === filled.kept[field]?.reveal()
  })
  const { references: _, ...rest } = fresh
  if (still.length === 0) return rest
  const texts = still.map(([field, text]) => [field, new Secret(text)] as const)
  return {
    ...rest,
    kept: { ...fresh.kept, ...Object.fromEntries(texts) },
    references: Object.fromEntries(still),
  }
}

/** Whatever was believed of it until now. */
export async function readAnew(kit: Kit, whole: Whole): Promise<Whole> {
  kit.readings.forget(whole.account.owner, Object.values(whole.credential.references ?? {}))
  return withWorn(kit, whole)
}

/** Reads what was refused once more, where it lies; undefined where that is the same as before. */
export async function readAgain(kit: Kit, refused: Whole, present: Whole): Promise<Whole | undefined> {
  const again = await readAnew(kit, present)
  const isSame = Object.entries(again.credential.worn).every(
    ([field, secret]) => refused.credential.worn[field]?.reveal() === secret.reveal(),
  )
  return isSame ? undefined : again
}

interface Wanted {
  readonly among: Fields
  readonly leftMs?: number
}

async function readAll(
  kit: Kit,
  account: Of,
  { references = {} }: Credential,
  { among, leftMs = 0 }: Wanted,
): Promise<ReadonlyMap<string, Read>> {
  const wanted = Object.entries(references).filter(([field]) => Object.hasOwn(among, field))
  const reading = wanted.map(async ([field, text]) => {
    const read = await kit.readings.read(account.owner, text, leftMs).catch((error: unknown) => {
      throw whose(account, error)
    })
    return [field, read] as const
  })
  return new Map(await Promise.all(reading))
}

/** What ends with all that is worn may be lent until then; the rest stands, as whatever has no end. */
function filledIn(credential: Credential, read: ReadonlyMap<string, Read>): Credential {
  const fill = (fields: Fields): Fields =>
    Object.fromEntries(
      Object.entries(fields).map(([field, secret]) => [field, read.get(field)?.value ?? secret]),
    )
  const filled = { ...credential, worn: fill(credential.worn), kept: fill(credential.kept) }
  return wearsReference(credential) ? { ...filled, ...endOf(credential, read) } : filled
}

/** When all that is worn is over, or that it never is. */
export function endOf(
  { worn }: Pick<Credential, 'worn'>,
  read: ReadonlyMap<string, Read>,
): Pick<Credential, 'standing' | 'expiresAt'> {
  const ends = Object.keys(worn).map((field) => read.get(field)?.until?.getTime() ?? null)
  const known = ends.filter((end) => end !== null)
  if (known.length === 0 || known.length < ends.length) return { standing: true, expiresAt: null }
  return { standing: false, expiresAt: new Date(Math.min(...known)) }
}

function whose(account: Of, error: unknown): unknown {
  if (!(error instanceof ValetkeyError)) return error
  const { code, message, hint } = error
  return new ValetkeyError(code, `the credential of ${formatAddress(account)} is not to be had: ${message}`, {
    ...(hint === undefined ? {} : { hint }),
  })
}
