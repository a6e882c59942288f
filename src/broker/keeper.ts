import type { AuditVerb } from '#client'
import { ValetkeyError } from '#client'
import { type Caller, INSTALLATION, isOwner, type OwnerId } from '../model/caller.ts'
import type { Secret } from '../model/secret.ts'
import type { AccountRow } from '../model/storage.ts'
import type { KeySource, VaultKeeper } from '../model/vault.ts'
import type { KeeperDesk, RekeyRequest, VaultStatus } from '../model/words.ts'
import { sealExport } from '../vault/export.ts'
import { addressOf } from './accounts.ts'
import { takeWhole } from './grants.ts'
import { behind, type Kit } from './kit.ts'

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
      refuseOthers(caller)
      if (kit.vault.locked) {
        await open(kit, house, passphrase)
        if (!kit.chain.restored) await through('unlock', keeper.source, async () => {})
      }
      return status(kit, house, caller)
    },
    async rekey(request) {
      await through('rekey', request.source, () => keeper.rekey(house.sources(request)))
      return status(kit, house, caller)
    },
    eraseOwner: (owner) =>
      through('erase-owner', owner, () => eraseOwner(kit, house, ownerOf(caller, owner))),
    async acceptRestore() {
      refuseOthers(caller)
      await kit.chain.acceptRestore()
      return status(kit, house, caller)
    },
    export: (passphrase) => through('export', 'the vault', () => exportVault(kit, caller, passphrase)),
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

async function livingAccounts({ storage }: Kit, { owner }: Caller): Promise<readonly AccountRow[]> {
  const rows = await storage.list('accounts', { owner })
  return rows.filter((account) => account.status !== 'revoked')
}

/** A vault whose record cannot be found again is not left open without one. */
async function open({ chain }: Kit, { keeper }: House, passphrase?: Secret): Promise<void> {
  await keeper.unlock(passphrase)
  await chain.resume().catch((error: unknown) => {
    keeper.lock()
    throw error
  })
}

/** The record of a lock is written before the key that seals it is forgotten. */
async function lock(kit: Kit, house: House, caller: Caller): Promise<VaultStatus> {
  if (kit.vault.locked) return status(kit, house, caller)
  // A vault that was put back keeps no record until that is accepted, and is locked all the same.
  if (kit.chain.restored) refuseOthers(caller)
  else await (await kit.gate.pass(caller, 'lock', { name: house.keeper.source })).close('done')
  await kit.chain.pause()
  house.keeper.lock()
  return status(kit, house, caller)
}

async function exportVault(kit: Kit, caller: Caller, passphrase: Secret): Promise<string> {
  const { owner } = caller
  const records = await Promise.all(
    (await livingAccounts(kit, caller)).map(async (living) => {
      const { account, credential, profile } = await takeWhole(kit, living)
      const { provider, bucket, flow, connectedAt } = account
      const { standing, scopes, tokenType, expiresAt } = credential
      const plain = {
        address: addressOf(account),
        bucket,
        flow,
        connectedAt,
        standing: standing ? 1 : 0,
        tokenType,
        scopes: scopes.join(' '),
        expiresAt: expiresAt?.toISOString() ?? null,
        profile: JSON.stringify(profile),
      }
      return {
        owner,
        record: account.id,
        about: provider,
        fields: { ...prefixed('worn', credential.worn), ...prefixed('kept', credential.kept) },
        plain,
      }
    }),
  )
  return sealExport({ records, passphrase, now: kit.now, newId: kit.newId })
}

function prefixed<V>(kind: string, fields: Readonly<Record<string, V>>): Record<string, V> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [`${kind}:${name}`, value]))
}

/** The key first: from then on what is left of the owner's rows says nothing. */
async function eraseOwner({ storage, happenings }: Kit, { keeper }: House, owner: OwnerId): Promise<void> {
  await keeper.eraseOwner(owner)
  happenings.forget(owner)
  await storage.transaction('synced', async (rows) => {
    for (const table of ['accounts', 'bindings', 'leases', 'flowSessions'] as const)
      await rows.remove(table, { owner })
  })
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
