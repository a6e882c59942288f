import { randomUUID } from 'node:crypto'
import { ValetkeyError } from '#client'
import { openBroker } from './broker/broker.ts'
import { apiKeyFlow } from './flows/api-key.ts'
import { type Config, readConfig } from './machine/config.ts'
import { fileAnchor, readFolder } from './machine/files.ts'
import { privateFolder } from './machine/folders.ts'
import type { Paths } from './machine/paths.ts'
import type { Broker } from './model/broker.ts'
import type { Flow } from './model/flow.ts'
import { Secret } from './model/secret.ts'
import { openNetwork } from './network/network.ts'
import { readBuiltIn } from './providers/built-in.ts'
import { openCatalogue } from './providers/catalogue.ts'
import { openSqlite } from './storage/sqlite.ts'
import { keySources } from './vault/sources.ts'
import { openVault } from './vault/vault.ts'
import { VERSION } from './version.ts'
import { type Where, wherePaths } from './where.ts'

export interface House {
  readonly broker: Broker
  readonly paths: Paths
  readonly config: Config
}

/** What a house is handed from outside, and has of itself otherwise. */
export interface Handed {
  readonly flows: readonly Flow[]
  readonly now: () => Date
  readonly newId: () => string
}

const USUAL: Handed = { flows: [apiKeyFlow], now: () => new Date(), newId: () => randomUUID() }

/**
 * Opens the vault in this process and puts the broker together over it: the one place where every
 * room is handed what it needs. Throws `held` when another process already holds the vault.
 */
export async function openHouse(where: Where, handed: Partial<Handed> = {}): Promise<House> {
  const paths = wherePaths(where)
  for (const folder of [paths.config, paths.state, paths.run]) await privateFolder(folder)
  const config = await readConfig(paths.configFile)
  const catalogue = openCatalogue({
    builtIn: readBuiltIn(),
    own: await readFolder(paths.providersFolder, '.json'),
    origins: config.origins ?? {},
  })
  const { flows, ...clock } = { ...USUAL, ...handed }
  const storage = await openSqlite(paths.vaultFile)
  try {
    const sources = keySources({ keyFolder: paths.keyFolder, env: where.env, command: config.keyCommand })
    const keeper = await openVault({
      storage,
      sources,
      preferred: preferredSource(config, where.env),
      ...clock,
    })
    await keeper.unlock(passphraseIn(where.env)).catch(stayLocked)
    const broker = await openBroker({
      storage,
      keeper,
      sources: (told) => sources(told.source, told),
      catalogue,
      flows,
      network: openNetwork({ allow: [...(config.allow ?? []), ...Object.values(config.origins ?? {})] }),
      anchor: fileAnchor(paths.anchorFile),
      home: paths.state,
      socket: paths.socket,
      version: VERSION,
      ...clock,
    })
    return { broker, paths, config }
  } catch (error) {
    await storage.close()
    throw error
  }
}

/** A vault whose passphrase nobody told yet is opened all the same, and stays locked. */
function stayLocked(error: unknown): void {
  if (!(error instanceof ValetkeyError) || error.code !== 'locked') throw error
}

function preferredSource(config: Config, env: NodeJS.ProcessEnv) {
  if (config.keySource !== undefined) return config.keySource
  if (env['VALETKEY_KEY']) return 'environment'
  return env['VALETKEY_PASSPHRASE'] ? 'passphrase' : 'file'
}

function passphraseIn(env: NodeJS.ProcessEnv): Secret | undefined {
  const text = env['VALETKEY_PASSPHRASE']
  return text ? new Secret(text) : undefined
}
