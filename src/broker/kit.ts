import { ValetkeyError, type Who } from '#client'
import type { Callbacks, OpenCallback } from '../model/callbacks.ts'
import type { Caller, Proof } from '../model/caller.ts'
import type { Credential } from '../model/credential.ts'
import type { Client, Flow, Voucher } from '../model/flow.ts'
import type { AuditChain, Gate, Passage } from '../model/gate.ts'
import type { Mint } from '../model/mint.ts'
import type { StreamingNetwork } from '../model/network.ts'
import type { Catalogue } from '../model/provider.ts'
import type { AccountRow, Storage } from '../model/storage.ts'
import type { Vault } from '../model/vault.ts'
import type { Desk } from '../model/words.ts'
import type { Openings } from './forwarding/openings.ts'
import type { Streams } from './forwarding/streams.ts'
import type { Whole } from './grants.ts'
import type { Happenings } from './happenings.ts'
import type { Keyring } from './keys/keyring.ts'
import type { Windows } from './limits.ts'
import type { Minted } from './minting/minted.ts'
import type { Lanes } from './outbox/lanes.ts'
import type { Readings } from './references.ts'
import type { AccessTokens } from './renewing/access-tokens.ts'
import type { Breaker } from './schedule/breaker.ts'
import type { Pace } from './schedule/pace.ts'
import type { Schedule } from './schedule/schedule.ts'
import type { Ledger } from './warm/ledger.ts'
import type { Memory } from './warm/memory.ts'

/** All that the verbs work with; handed to each as its first parameter. */
export interface Kit {
  readonly gate: Gate
  readonly chain: AuditChain
  readonly vault: Vault
  readonly storage: Storage
  readonly catalogue: Catalogue
  readonly flows: ReadonlyMap<string, Flow>
  /** How less than all of an account is had, by what a sign-in calls it. */
  readonly mints: ReadonlyMap<string, Mint>
  readonly network: StreamingNetwork
  readonly happenings: Happenings
  readonly callbacks: Callbacks
  /** The clients that come with this installation, by their provider. */
  readonly clients: Readonly<Record<string, Client>>
  /** Which program this is, on which computer, in words for a person. */
  readonly device: string | undefined
  /** Where the public document is that describes this client, if the operator has one. */
  readonly clientDocument: string | undefined
  /** The providers whose vendor's own sign-in the operator switched on here. */
  readonly vendorLogins: ReadonlySet<string>
  /** The desk of a caller, for what comes in by another way than a door. */
  readonly desk: (caller: Caller) => Desk
  /** What an account says of who its owner is; nobody but they themselves have it say so. */
  readonly voucherAt: (
    whose: Pick<AccountRow, 'owner'> & { readonly id: string },
    address: string,
  ) => Promise<Voucher>
  readonly accessTokens: AccessTokens
  /** What accounts have elsewhere, as it was read there last. */
  readonly readings: Readings
  /** What was minted for whoever wished less than all. */
  readonly minted: Minted
  /** The renewals under way, by their account. */
  readonly refreshing: Map<string, Promise<Whole>>
  /** Who waits for what another broker writes of an account. */
  readonly awaited: Map<string, Set<() => void>>
  /** Keeps everybody away from a server that is down. */
  readonly breaker: Breaker
  /** At what pace servers are asked for what nobody is waiting for. */
  readonly pace: Pace
  /** The same for what is owed to them. */
  readonly lanes: Lanes
  /** All that has to be done without anybody asking for it. */
  readonly schedule: Schedule
  /** What a provider answered and could not be written yet, by its account. It is not to be had again. */
  readonly unwritten: Map<string, { readonly generation: number; readonly credential: Credential }>
  /** What stood against the last renewal, by its account. */
  readonly troubles: Map<string, ValetkeyError>
  /** What was refused although it had just been renewed, by its account; until then it is not renewed for that again. */
  readonly refusedFresh: Map<string, { readonly generation: number; readonly until: number }>
  /** What uses were decided by, for as long as nothing of it is changed. */
  readonly memory: Memory
  /** Counts what shares a lease. */
  readonly ledger: Ledger
  /** Puts lendings on record. */
  readonly openings: Openings
  /** How often what has a rate was used of late. */
  readonly windows: Windows
  /** What is being forwarded at this moment. */
  readonly streams: Streams
  /** The callers that were narrowed and are looked after here. */
  readonly keyring: Keyring
  /** The places that browsers are awaited at, by their session. */
  readonly returning: Map<string, OpenCallback>
  /** Who waits for what the owner says, by the ask. */
  readonly undecided: Map<string, Set<() => void>>
  /** Which program stands behind a caller, as far as this computer can tell. */
  readonly who: (proof: Proof) => Who
  readonly now: () => Date
  /** Milliseconds that only go forward, whatever becomes of the computer's clock. */
  readonly monotonic: () => number
  readonly newId: () => string
  /** Puts away what is over for good, now and then. */
  readonly sweep: () => Promise<void>
  /** Which broker this is, where several may hold flow sessions. */
  readonly holder: string
}

/** Does the work behind a passage, and closes its record with what came of it before anybody hears of it. */
export async function behind<R>(
  passage: Passage,
  work: () => Promise<R>,
  detail?: (result: R) => string,
): Promise<R> {
  const result = await work().catch(async (error: unknown) => {
    await passage.close('failed', { code: error instanceof ValetkeyError ? error.code : 'internal-error' })
    throw error
  })
  await passage.close('done', detail === undefined ? {} : { detail: detail(result) })
  return result
}

/** The account that a passage through the gate was about. */
export function accountOf(passage: Passage, address: string): AccountRow {
  if (passage.account !== undefined) return passage.account
  throw notConnected(address)
}

export function notConnected(address: string): ValetkeyError {
  return new ValetkeyError('not-connected', `no account at ${address}`, {
    hint: `valetkey connect ${address}`,
  })
}

/** Nothing in the place of what was changed from outside, for whoever can do without it. */
export async function unlessTampered<R>(opening: Promise<R>): Promise<R | undefined> {
  return opening.catch((error: unknown) => {
    if (error instanceof ValetkeyError && error.code === 'tampered') return undefined
    throw error
  })
}
