import {
  allowInsecureRequests,
  ClientSecretBasic,
  ClientSecretPost,
  Configuration,
  clockSkew,
  clockTolerance,
  customFetch,
  None,
} from 'openid-client'
import type { Client } from '../model/flow.ts'
import type { Network } from '../model/network.ts'
import type { OAuth } from '../model/provider.ts'
import { type Judge, judgedFetch } from './ask.ts'
import { SKEW_SECONDS } from './id-token.ts'
import { clientAuthOf, metadataOf, type Server } from './server.ts'

export interface Use {
  readonly server: Server
  readonly client: Client
  readonly clientAuth: OAuth['clientAuth']
  readonly network: Network
  readonly now: () => Date
  /** What becomes of every answer before the library sees it. */
  readonly judge: Judge
}

/** The library, set up for one request: our clock, our way out, our judge. */
export function configurationFor({ server, client, clientAuth, network, now, judge }: Use): Configuration {
  const ahead = Math.round((now().getTime() - Date.now()) / 1000)
  const config = new Configuration(
    metadataOf(server),
    client.clientId,
    { [clockSkew]: ahead, [clockTolerance]: SKEW_SECONDS },
    authenticated(client, clientAuthOf(server, clientAuth)),
  )
  config[customFetch] = judgedFetch(network, judge, now)
  // Endpoints were judged before: plain http is loopback here, and the network has the last word on it.
  allowInsecureRequests(config)
  return config
}

/** A public client proves itself by PKCE alone; an empty secret is none. */
function authenticated({ clientSecret }: Client, way: OAuth['clientAuth']) {
  const secret = clientSecret?.reveal() ?? ''
  if (secret === '') return None()
  return way === 'basic' ? ClientSecretBasic(secret) : ClientSecretPost(secret)
}
