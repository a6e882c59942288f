import { randomBytes } from 'node:crypto'
import type Provider from 'oidc-provider'
import type { ProviderFile } from '../model/provider.ts'
import { answerFor } from './answer.ts'
import { configurationFor } from './configuration.ts'
import { countAnswers, newCounts } from './counts.ts'
import { paceDevices } from './devices.ts'
import { openGrants } from './grants.ts'
import { newKeys } from './keys.ts'
import { listen } from './listen.ts'
import { loadLibrary } from './load.ts'
import { openOutage } from './outage.ts'
import { PRACTICE_CLIENT_ID, PROGRAM_CLIENT_ID, practiceFile } from './provider-file.ts'
import type { Program } from './stage.ts'
import { openStore } from './store.ts'

/** A real authorization server on this computer, for as long as it is open. */
export interface Practice {
  readonly origin: URL
  /** Where it listens itself. */
  readonly port: number
  readonly file: ProviderFile
  /** The public client that it knows beforehand. */
  readonly client: { readonly clientId: string }
  /** The client that stands for a program; whoever practises fills it in, and finds it at `/practice`. */
  readonly program: Program
  close(): Promise<void>
}

export interface PracticeOptions {
  /** Any free port where none is named. */
  readonly port?: number
  readonly now?: () => Date
  /** For how many seconds a refresh token that was used is still taken; each use yields a successor. None by default. */
  readonly grace?: number
  /** What its clients see, where something stands before it. */
  readonly behind?: URL
}

export async function openPractice({
  port = 0,
  now = () => new Date(),
  grace = 0,
  behind,
}: PracticeOptions = {}): Promise<Practice> {
  const { Provider } = await loadLibrary()
  const jwks = await newKeys()
  const program = { clientId: PROGRAM_CLIENT_ID, clientSecret: randomBytes(24).toString('base64url') }
  const store = openStore(now, grace)
  const grants = openGrants(store)
  const { server, origin: own, close } = await listen(port)
  const origin = behind ?? own
  const provider = new Provider(
    origin.origin,
    configurationFor(store, grants, { jwks, programSecret: program.clientSecret }),
  )
  // What the library cannot answer it would otherwise print.
  provider.silent = true
  const counts = newCounts()
  countAnswers(provider, counts, grants)
  const devices = paceDevices(provider, counts, now)
  const outage = openOutage(now)
  server.on('request', answerFor({ origin, provider, grants, counts, program, devices, outage, now }))
  await letComeBackAnywhere(provider)
  return {
    origin,
    port: Number(own.port),
    file: practiceFile(origin),
    client: { clientId: PRACTICE_CLIENT_ID },
    program,
    close,
  }
}

/** The standard lets the port vary on loopback; our own client has a path that nobody can guess as well. */
async function letComeBackAnywhere(provider: Provider): Promise<void> {
  const client = await provider.Client.find(PRACTICE_CLIENT_ID)
  if (client) client.redirectUriAllowed = isOnLoopback
}

function isOnLoopback(uri: string): boolean {
  const url = URL.parse(uri)
  if (url === null || url.protocol !== 'http:' || url.username !== '' || url.hash !== '') return false
  return url.hostname === '127.0.0.1' || url.hostname === '[::1]'
}
