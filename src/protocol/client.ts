import type { webcrypto } from 'node:crypto'
import {
  allowInsecureRequests,
  type ClientAuth,
  ClientSecretPost,
  Configuration,
  clockSkew,
  clockTolerance,
  customFetch,
  None,
  PrivateKeyJwt,
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
  /** A client that signs what it says of itself (RFC 7523), in the place of showing a secret. */
  readonly signing?: webcrypto.CryptoKey | undefined
  readonly network: Network
  readonly now: () => Date
  /** What becomes of every answer before the library sees it. */
  readonly judge: Judge
}

/** The library, set up for one request: our clock, our way out, our judge. */
export function configurationFor(use: Use): Configuration {
  const { server, client, clientAuth, signing, network, now, judge } = use
  const ahead = Math.round((now().getTime() - Date.now()) / 1000)
  const config = new Configuration(
    metadataOf(server),
    client.clientId,
    { [clockSkew]: ahead, [clockTolerance]: SKEW_SECONDS },
    signing === undefined ? authenticated(client, clientAuthOf(server, clientAuth)) : PrivateKeyJwt(signing),
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
  return way === 'basic' ? basic(secret) : ClientSecretPost(secret)
}

/**
 * RFC 6749 §2.3.1: both are encoded as a form is. A browser's encoding of forms leaves a dash or a dot as it is,
 * and so do we: some servers compare without decoding.
 */
function basic(secret: string): ClientAuth {
  return (_, { client_id: id }, __, headers) => {
    const pair = `${asInForm(id)}:${asInForm(secret)}`
    headers.set('authorization', `Basic ${Buffer.from(pair).toString('base64')}`)
  }
}

function asInForm(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1)
}
