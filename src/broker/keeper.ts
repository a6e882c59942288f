import type { AuditVerb } from '#client'
import { ValetkeyError } from '#client'
import { fromElsewhere } from '../gate/policy.ts'
import { type Caller, INSTALLATION, isOwner, type OwnerId } from '../model/caller.ts'
import type { Secret } from '../model/secret.ts'
import type { KeySource, VaultKeeper } from '../model/vault.ts'
import type { KeeperDesk, Receipt, RekeyRequest, VaultStatus } from '../model/words.ts'
import { isLocked, isOver } from './forwarding/streams.ts'
import { behind, type Kit } from './kit.ts'
import { exportVault, livingAccounts } from './moving/exporting.ts'
import { importVault } from './moving/import.ts'
import { suspectAll } from './put-back.ts'
import { renewalsOver } from './renewing/single-flight.ts'
import { endAllOf, revokeEverything } from './revoke.ts'

/** Longer than usual: what providers were not told by then they are never told. */
const ERASING_PATIENCE_MS = 30_000
/** So long a lock waits for what providers are about to answer; what comes later is written after the unlock. */
const LAST_ANSWERS_MS = 10_000

/** What the vault's keeper stands on besides the verbs' kit. */
export interface House {
  readonly keeper: VaultKeeper
  readonly sources: (told: RekeyRequest) => KeySource
  readonly home: string
  readonly socket: string
  readonly version: string
  readonly startedAt: Date
}

/** The vault as its owner keeps it. Everybody else is turned away by the gate. */
export function keeperDesk(kit: Kit, house: House, caller: Caller): KeeperDesk {
  const { keeper } = house

  async function through<R>(verb: AuditVerb, name: string, work: () => Promise<R>): Promise<R> {
    const passage = await kit.gate.pass(caller, verb, { name })
    return behind(passage, work)
  }

  return {
    status: () => status(kit, house, caller),
    lock: () => lock(kit, house, caller),
    async unlock(passphrase) {
      if (kit.vault.locked) refuseOthers(caller)
      else if (!isOwner(caller)) await through('unlock', keeper.source, async () => {})
      if (kit.vault.locked) {
        await open(kit, house, passphrase)
        if (!kit.chain.restored) await through('unlock', keeper.source, async () => {})
      }
      return status(kit, house, caller)
    },
    async rekey(request) {
      await through('rekey', request.source, async () => keeper.rekey(house.sources(request)))
      return status(kit, house, caller)
    },
    revokeEverything: (owner) => revokeEverything(kit, caller, owner),
    eraseOwner: (owner) =>
      through('erase-owner', owner, () => eraseOwner(kit, house, ownerOf(caller, owner))),
    async acceptRestore() {
      const accept = () => kit.chain.acceptRestore()
      if (kit.chain.restored && kit.storage.shared) await unrecorded(caller, accept)
      else await through('accept-restore', 'the record', accept)
      // A new computer at a shared vault says the same of itself; nothing was put back by that.
      if (!kit.storage.shared) await suspectAll(kit)
      return status(kit, house, caller)
    },
    export: (passphrase) => through('export', 'the vault', () => exportVault(kit, caller, passphrase)),
    import: (document, passphrase, options) => importVault(kit, caller, { document, passphrase, ...options }),
    verifyAudit: () => through('verify-audit', 'the record', () => kit.chain.verify()),
    async pruneAudit(before) {
      await through('prune-audit', before.toISOString(), () => kit.chain.prune(before))
      return kit.chain.verify()
    },
  }
}

async function status(
  kit: Kit,
  { keeper, home, socket, version, startedAt }: House,
  caller: Caller,
): Promise<VaultStatus> {
  const { locked, id } = kit.vault
  return {
    id,
    locked,
    keySource: keeper.source,
    engine: kit.storage.engine,
    home,
    socket,
    pid: process.pid,
    version,
    startedAt,
    restored: !locked && kit.chain.restored,
    // How many there are is nobody else's business.
    accounts: locked || !isOwner(caller) ? null : (await livingAccounts(kit, caller)).length,
  }
}

/** A vault whose record cannot be found again is not left open without one. */
async function open(
  { chain, schedule, keyring, now }: Kit,
  { keeper }: House,
  passphrase?: Secret,
): Promise<void> {
  await keeper.unlock(passphrase)
  await chain.resume().catch((error: unknown) => {
    keeper.lock()
    throw error
  })
  await keyring.takeUp()
  schedule.expect(now().getTime())
}

/** The record of a lock is written before the key that seals it is forgotten. */
async function lock(kit: Kit, house: House, caller: Caller): Promise<VaultStatus> {
  if (kit.vault.locked) return status(kit, house, caller)
  // A vault that was put back keeps no record until that is accepted, and is locked all the same.
  if (kit.chain.restored) refuseOthers(caller)
  else await (await kit.gate.pass(caller, 'lock', { name: house.keeper.source })).close('done')
  await renewalsOver(kit, LAST_ANSWERS_MS)
  await kit.chain.pause()
  kit.accessTokens.forgetAll()
  kit.readings.forgetAll()
  kit.minted.forgetAll()
  kit.memory.forget()
  kit.streams.cut({}, isLocked())
  house.keeper.lock()
  return status(kit, house, caller)
}

/**
 * The providers first, as long as there is something to tell them with. Then the key: from then on what is
 * left of the owner's rows says nothing.
 */
async function eraseOwner(kit: Kit, { keeper }: House, owner: OwnerId): Promise<readonly Receipt[]> {
  const { storage, happenings } = kit
  const receipts = await endAllOf(kit, owner, ERASING_PATIENCE_MS)
  await keeper.eraseOwner(owner)
  kit.streams.cut({ owner }, isOver('the account was erased'))
  happenings.forget(owner)
  await storage.transaction('synced', async (rows) => {
    for (const table of [
      'accounts',
      'bindings',
      'keys',
      'asks',
      'leases',
      'flowSessions',
      'outbox',
      'usage',
    ] as const)
      await rows.remove(table, { owner })
  })
  return receipts.map(nobodyLeft)
}

/** What could not be told by then is not told any more. */
function nobodyLeft(receipt: Receipt): Receipt {
  const how = 'the provider could not be told in time, and nothing is left to tell it with'
  const lines = receipt.lines.map((line) =>
    line.state === 'queued' ? { ...line, state: 'alive' as const, how } : line,
  )
  return { ...receipt, lines }
}

/** To a record that others write to as well nothing is added before it was accepted; what does that says so in it. */
async function unrecorded(caller: Caller, accept: () => Promise<void>): Promise<void> {
  refuseOthers(caller)
  const elsewhere = fromElsewhere(caller, 'accept-restore')
  if (elsewhere !== undefined) throw new ValetkeyError(elsewhere.code, elsewhere.message, elsewhere)
  await accept()
}

/** While the vault is locked nothing can be put on record, so only its owner comes near it. */
function refuseOthers(caller: Caller): void {
  if (!isOwner(caller)) throw new ValetkeyError('not-allowed', 'only the owner keeps the vault')
}

function ownerOf(caller: Caller, owner: string): OwnerId {
  if (owner === INSTALLATION || owner !== caller.owner) {
    throw new ValetkeyError('not-allowed', 'only your own accounts can be erased', {
      hint: `valetkey vault erase ${caller.owner}`,
    })
  }
  return caller.owner
}
