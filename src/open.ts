import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { type KeySourceKind, ValetkeyError } from '#client'
import { openBroker, type RunningBroker } from './broker/broker.ts'
import type { Timer } from './broker/schedule/schedule.ts'
import type { PageCallbacks } from './doors/http/page-callbacks.ts'
import { apiKeyFlow } from './flows/api-key.ts'
import { authorizationCodeFlow } from './flows/authorization-code.ts'
import { awsKeysFlow } from './flows/aws-keys.ts'
import { awsSsoFlow } from './flows/aws-sso.ts'
import { clientCredentialsFlow } from './flows/client-credentials.ts'
import { deviceCodeFlow } from './flows/device-code.ts'
import { githubAppFlow } from './flows/github-app.ts'
import { idJagFlow } from './flows/id-jag.ts'
import { jwtBearerFlow } from './flows/jwt-bearer.ts'
import { keyMintingFlow } from './flows/key-minting.ts'
import { awsSsoMint } from './flows/minting/aws-sso.ts'
import { awsStsMint } from './flows/minting/aws-sts.ts'
import { githubAppMint } from './flows/minting/github-app.ts'
import { googleImpersonationMint } from './flows/minting/google-impersonation.ts'
import { tokenExchangeMint } from './flows/minting/token-exchange.ts'
import { loopbackCallbacks } from './machine/callback.ts'
import { type Config, readConfig } from './machine/config.ts'
import { fileAnchor, keepFile, readFolder } from './machine/files.ts'
import { privateFolder } from './machine/folders.ts'
import type { Paths } from './machine/paths.ts'
import { machineReferences } from './machine/references/references.ts'
import { markOf } from './machine/running.ts'
import { whoIs } from './machine/who.ts'
import type { Callbacks } from './model/callbacks.ts'
import type { Flow } from './model/flow.ts'
import type { Mint } from './model/mint.ts'
import type { Catalogue, ProviderFile } from './model/provider.ts'
import { Secret } from './model/secret.ts'
import type { Storage } from './model/storage.ts'
import { type NetworkOptions, openNetwork } from './network/network.ts'
import type { Practice } from './practice/practice.ts'
import { readBuiltIn } from './providers/built-in.ts'
import { openCatalogue } from './providers/catalogue.ts'
import { pinsOf } from './providers/pins.ts'
import { readShipped } from './providers/shipped.ts'
import { openSqlite } from './storage/sqlite.ts'
import { keySources } from './vault/sources.ts'
import { openVault } from './vault/vault.ts'
import { VERSION } from './version.ts'
import { type Where, wherePaths } from './where.ts'

export interface House {
  readonly broker: RunningBroker
  readonly catalogue: Catalogue
  /** Where the vault lies, for people. */
  readonly place: string
  readonly paths: Paths
  readonly config: Config
  /** Where the master key came from when the house was opened. */
  readonly keySource: KeySourceKind
}

/** What a house is handed from outside, and has of itself otherwise. */
export interface Handed {
  /** A provider to practise on, where one runs beside the house. */
  readonly practice?: Practice | undefined
  readonly flows: readonly Flow[]
  readonly mints: readonly Mint[]
  /** What becomes of the providers that come with Valetkey, before the owner's own are added. */
  readonly providers?: ((builtIn: readonly ProviderFile[]) => readonly ProviderFile[]) | undefined
  /** The page as the place that browsers come back to, where the operator wants it so. */
  readonly page?: PageCallbacks | undefined
  /** A storage that is open already; it is closed with the house. */
  readonly storage?: Storage | undefined
  /** How long a provider may take and how it is found, where that is not as usual. */
  readonly limits?: Pick<NetworkOptions, 'connectSeconds' | 'answerSeconds' | 'lookup' | 'ca'> | undefined
  /** Takes a line for the operator now and then: where the record stands, and that the disk gives trouble. */
  readonly log?: ((line: string) => void) | undefined
  readonly now: () => Date
  /** Milliseconds that only go forward. */
  readonly monotonic: () => number
  /** By what the schedule sleeps, where that is not the usual one. */
  readonly timer?: Timer | undefined
  readonly newId: () => string
}

export const USUAL: Handed = {
  flows: [
    apiKeyFlow,
    authorizationCodeFlow(),
    deviceCodeFlow(),
    clientCredentialsFlow(),
    idJagFlow(),
    jwtBearerFlow(),
    keyMintingFlow,
    githubAppFlow,
    awsKeysFlow,
    awsSsoFlow,
  ],
  mints: [githubAppMint, awsStsMint, awsSsoMint, googleImpersonationMint, tokenExchangeMint()],
  now: () => new Date(),
  monotonic: () => performance.now(),
  newId: () => randomUUID(),
}

/**
 * Opens the vault in this process and puts the broker together over it: the one place where every
 * room is handed what it needs. Throws `held` when another process already holds the vault.
 */
export async function openHouse(where: Where, handed: Partial<Handed> = {}): Promise<House> {
  const {
    flows,
    mints,
    providers,
    practice,
    page,
    limits,
    storage: open,
    log,
    ...clock
  } = { ...USUAL, ...handed }
  const paths = wherePaths(where)
  for (const folder of [paths.config, paths.state, paths.run]) await privateFolder(folder)
  const config = await readConfig(paths.configFile)
  const withHanded = providers ?? ((builtIn) => builtIn)
  const catalogue = openCatalogue({
    builtIn: withHanded([...readBuiltIn(), ...(practice ? [practice.file] : [])]),
    own: await readFolder(paths.providersFolder, '.json'),
    origins: config.origins ?? {},
    write: (file, text) => keepFile(resolve(paths.providersFolder, file), text),
  })
  const storage = open ?? (await openStorage(where.env, paths))
  const place = storage.place ?? paths.state
  try {
    const sources = keySources({ keyFolder: paths.keyFolder, env: where.env, command: config.keyCommand })
    const keeper = await openVault({
      storage,
      sources,
      preferred: preferredSource(config, where.env),
      ...clock,
    })
    await keeper.unlock(passphraseIn(where.env)).catch(stayLocked)
    const network = openNetwork({
      ...limits,
      // What the operator pins stands in the place of what a provider file does.
      pins: { ...pinsOf(catalogue.list()), ...config.pins },
      allow: [
        ...(config.allow ?? []),
        ...Object.values(config.origins ?? {}),
        ...(practice ? [practice.origin.origin] : []),
      ],
    })
    const broker = await openBroker({
      storage,
      keeper,
      sources: (told) => sources(told.source, told),
      catalogue,
      flows,
      mints,
      callbacks: callbacksFor(config, nameOf(where), page),
      clients: {
        ...readShipped(),
        ...(practice && { [practice.file.id]: { ...practice.client, clientSecret: undefined } }),
      },
      clientDocument: config.clientDocument,
      vendorLogins: known(config.vendorLogins, catalogue, paths.configFile),
      device: `${nameOf(where)} on ${hostname()}`,
      network,
      references: machineReferences({ env: where.env, network, now: clock.now }),
      anchor: fileAnchor(paths.anchorFile),
      who: whoIs,
      markOf,
      home: place,
      socket: paths.socket,
      version: VERSION,
      log,
      ...clock,
    })
    return { broker, catalogue, place, paths, config, keySource: keeper.source }
  } catch (error) {
    await storage.close()
    throw error
  }
}

/** Whose wish a sign-in is, for the person's eyes. */
export function nameOf({ app = 'Valetkey' }: Where): string {
  return app
}

/** What a provider has fixed goes before what the operator wishes. */
function callbacksFor({ callback }: Config, app: string, page: PageCallbacks | undefined): Callbacks {
  const loopback = loopbackCallbacks({ app })
  if (callback !== 'page' || page === undefined) return loopback
  return {
    open: async (wish, arrived) => ((await page.suits(wish)) ? page : loopback).open(wish, arrived),
  }
}

/** On this computer, or where the operator has a server for it. */
async function openStorage(env: NodeJS.ProcessEnv, { vaultFile }: Paths): Promise<Storage> {
  const url = env['DATABASE_URL']
  if (!url) return openSqlite(vaultFile)
  const { openPostgres } = await import('./storage/postgres.ts')
  return openPostgres(url)
}

/** A vault whose passphrase nobody told yet is opened all the same, and stays locked. */
function stayLocked(error: unknown): void {
  if (!(error instanceof ValetkeyError) || error.code !== 'locked') throw error
}

/** A switch for nobody is refused: its writer believes that it does something. */
function known(names: readonly string[] | undefined, { find }: Catalogue, file: string) {
  const unknown = names?.find((name) => find(name) === undefined)
  if (unknown === undefined) return names
  throw new ValetkeyError('config-invalid', `${file} cannot be used: no provider is called "${unknown}"`, {
    hint: 'correct "vendorLogins" there',
  })
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
