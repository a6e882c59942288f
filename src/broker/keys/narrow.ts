import { randomBytes } from 'node:crypto'
import { type Grant, ValetkeyError } from '#client'
import { type Caller, type CallerId, isOwner } from '../../model/caller.ts'
import { Secret } from '../../model/secret.ts'
import type { AccountRow, KeyRow, Rows } from '../../model/storage.ts'
import { writeKeyText } from '../../model/valet-key.ts'
import type { Narrowed, NarrowRequest, ValetKey } from '../../model/words.ts'
import { findAccount } from '../accounts.ts'
import { behind, type Kit } from '../kit.ts'
import { cutOffEnded, endRows } from './ending.ts'
import { endOf, familyOf, isNarrowed, isOver, lineOf, MOST_DEEP } from './line.ts'
import { viewKey } from './listing.ts'
import { digestOf } from './recognise.ts'
import { rightsAt } from './rights.ts'
import { type Known, putKey, type Terms } from './terms.ts'
import { readWish, type Wish } from './wishes.ts'

const ID_LENGTH = 16
const SECRET_BYTES = 32
const DAY_MS = 24 * 60 * 60_000
const MOST_OF_OWNER = 1000
const MOST_OF_OTHERS = 100
/** All that go back to the same caller of the owner's. */
const MOST_OF_A_FAMILY = 250

/** Makes a caller that may less than this one. What is shown of a key is shown here, and never again. */
export async function narrow(kit: Kit, caller: Caller, request: NarrowRequest): Promise<Narrowed> {
  const passage = await kit.gate.pass(caller, 'narrow', { name: nameOf(request) })
  return behind(passage, () => cut(kit, caller, readWish(kit, caller, request)), inWords)
}

async function cut(kit: Kit, caller: Caller, wish: Wish): Promise<Narrowed> {
  const secret = wish.kind === 'key' ? randomBytes(SECRET_BYTES).toString('base64url') : null
  const known = await kit.storage.transaction('synced', (rows) => write(kit, rows, caller, wish, secret))
  const key = await begin(kit, known)
  return {
    key,
    secret: secret === null ? null : new Secret(writeKeyText(known.row.id.slice('key:'.length), secret)),
  }
}

async function write(
  kit: Kit,
  rows: Rows,
  caller: Caller,
  wish: Wish,
  secret: string | null,
): Promise<Known> {
  const now = kit.now().getTime()
  const line = await lineOf(rows, caller, now)
  await refuseTooMany(rows, caller, line, now)
  await refuseMore(kit, rows, caller, wish.grants)
  const { kind, name } = wish
  const row: KeyRow = {
    id: newCaller(kit, kind),
    owner: caller.owner,
    parent: caller.id,
    kind,
    name,
    generation: 1,
    createdAt: now,
    until: endOf([wish, latest(kit, wish), ...line]),
  }
  const { id, parent, until } = row
  const hash = secret === null ? null : digestOf(secret)
  const terms: Terms = { ...wish, id, parent, until, hash, at: kit.keyring.here }
  await putKey(kit, rows, { row, terms })
  return { row, terms }
}

/** Where several computers have the vault, one that is gone for good ends nobody: then time does. */
function latest({ storage, now }: Kit, { kind, endsWith }: Wish): Pick<KeyRow, 'until'> {
  const isOfHere = kind === 'socket' || endsWith !== null
  return { until: storage.shared && isOfHere ? now().getTime() + DAY_MS : null }
}

/** Short, so that the path of its socket is. */
function newCaller(kit: Kit, kind: KeyRow['kind']): CallerId {
  const id = kit
    .newId()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '')
  return `${kind}:${id.slice(-ID_LENGTH)}`
}

async function begin(kit: Kit, known: Known): Promise<ValetKey> {
  try {
    return viewKey(known, await kit.keyring.keep(known))
  } catch (error) {
    await cutOffEnded(kit, await kit.storage.transaction('synced', (rows) => endRows(kit, rows, [known.row])))
    throw error
  }
}

async function refuseTooMany(
  rows: Rows,
  caller: Caller,
  line: readonly KeyRow[],
  now: number,
): Promise<void> {
  const { owner, id: parent } = caller
  if (isNarrowed(parent) && line.length === 0)
    throw new ValetkeyError('unauthenticated', `${parent} was ended`, { hint: 'valetkey keys cut' })
  if (line.length >= MOST_DEEP)
    throw new ValetkeyError('resource-exhausted', `at most ${MOST_DEEP} callers are narrowed from each other`)
  const living = (await rows.list('keys', { owner, parent })).filter((row) => !isOver(row, now))
  if (living.length >= (isOwner(caller) ? MOST_OF_OWNER : MOST_OF_OTHERS))
    throw tooMany(parent, living.length)
  if (isOwner(caller)) return
  const { size } = await familyOf(rows, caller, now)
  if (size > MOST_OF_A_FAMILY) throw tooMany(line.at(-1)?.id ?? parent, size - 1)
}

function tooMany(maker: string, many: number): ValetkeyError {
  return new ValetkeyError('resource-exhausted', `${maker} has made ${many} callers that live`, {
    hint: 'valetkey keys kill <id>',
  })
}

/** Nobody gives what they do not have. What they may not is named, all of it. */
async function refuseMore(kit: Kit, rows: Rows, caller: Caller, grants: readonly Grant[]): Promise<void> {
  const beyond: string[] = []
  for (const { address, may } of grants) {
    const rights = await rightsAt(kit, rows, caller, await spotAt(kit, rows, caller, address))
    const more = may.filter((verb) => !rights.may.includes(verb))
    if (more.length > 0) beyond.push(`${more.join(', ')} ${address}`)
  }
  if (beyond.length === 0) return
  throw new ValetkeyError(
    'not-allowed',
    `${caller.id} may not ${beyond.join(' and ')}, and so gives it to nobody`,
    {
      hint: 'valetkey bindings',
    },
  )
}

async function spotAt(
  kit: Kit,
  rows: Rows,
  { owner }: Caller,
  address: string,
): Promise<AccountRow | string> {
  return (await findAccount(kit, rows, owner, address)) ?? address
}

function nameOf({ kind, name = kind }: NarrowRequest): string {
  return `${kind} ${name}`.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 80)
}

function inWords({ key: { id, grants, until } }: Narrowed): string {
  const may = grants.map((grant) => `${grant.may.join(', ')} ${grant.address}`).join('; ')
  return `${id} may ${may}${until === null ? '' : ` until ${until.toISOString()}`}`
}
