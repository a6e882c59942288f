import {
  allowInsecureRequests,
  type ClientAuth,
  ClientSecretPost,
  Configuration,
  clockSkew,
  clockTolerance,
  customFetch,
  type DPoPOptions,
  getDPoPHandle,
  modifyAssertion,
  None,
  PrivateKeyJwt,
  TlsClientAuth,
} from 'openid-client'
import { ValetkeyError } from '#client'
import type { Client } from '../model/flow.ts'
import type { Network, Outgoing } from '../model/network.ts'
import type { OAuth } from '../model/provider.ts'
import { type Judge, judgedFetch } from './ask.ts'
import { certificateOf } from './client-certificate.ts'
import { adoptNonce, type Bound, nonceFor, type Side } from './dpop.ts'
import { SKEW_SECONDS } from './id-token.ts'
import { clientAuthOf, metadataOf, type Server } from './server.ts'
import { keyIdOf, signingKey } from './signing-key.ts'
import { spoken } from './token-request.ts'

export interface Use {
  readonly server: Server
  readonly client: Client
  readonly oauth: Pick<OAuth, 'clientAuth' | 'requests' | 'tokenParams' | 'tokenHeaders'>
  /** The key that tokens are bound to. */
  readonly bound?: Bound | undefined
  readonly network: Network
  readonly now: () => Date
  /** What becomes of every answer before the library sees it. */
  readonly judge: Judge
}

/** The library, set up for one request: our clock, our way out, our judge. */
export function configurationFor(use: Use, side: Side = 'server'): Configuration {
  const { server, client, now, judge } = use
  const ahead = Math.round((now().getTime() - Date.now()) / 1000)
  const config = new Configuration(
    metadataOf(server),
    client.clientId,
    {
      [clockSkew]: ahead,
      [clockTolerance]: SKEW_SECONDS,
      use_mtls_endpoint_aliases: client.certificate !== undefined,
    },
    authenticated(use),
  )
  config[customFetch] = judgedFetch(wayOut(use, side), judge, now)
  // Endpoints were judged before: plain http is loopback here, and the network has the last word on it.
  allowInsecureRequests(config)
  return config
}

/** What the library proves each request with, where tokens are bound to a key: RFC 9449, the nonce included. */
export function proofsFor(
  config: Configuration,
  { bound }: Pick<Use, 'bound'>,
  side: Side = 'server',
): DPoPOptions {
  if (bound === undefined) return {}
  const withNonce = (_: object, payload: Record<string, unknown>) => {
    const nonce = nonceFor(bound, side, new URL(String(payload['htu'])))
    if (nonce !== undefined) payload['nonce'] = nonce
  }
  return { DPoP: getDPoPHandle(config, bound.pair, { [modifyAssertion]: withNonce }) }
}

/** The way out as this client goes it: by its certificate, in the words of this server, with an ear for nonces. */
function wayOut({ network, server, client, oauth, bound }: Use, side: Side): Network {
  const certificate = certificateOf(client)
  const fetch = async (url: URL, request: Outgoing = {}) => {
    const said = spoken(oauth, server, url, request)
    const answer = await network.fetch(url, certificate === undefined ? said : { ...said, certificate })
    if (bound !== undefined) adoptNonce(bound, side, url, answer.headers.get('dpop-nonce'))
    return answer
  }
  return { ...network, fetch }
}

/** By what it has: a certificate, a key to sign with, or a secret. A public client proves itself by PKCE alone. */
function authenticated({ client, server, oauth }: Use): ClientAuth {
  const { clientSecret, privateKey } = client
  if (client.certificate !== undefined) return TlsClientAuth()
  if (privateKey !== undefined) return signed(privateKey.reveal(), server)
  if (oauth.clientAuth === 'private_key_jwt' || oauth.clientAuth === 'tls') throw proofless(oauth.clientAuth)
  const secret = clientSecret?.reveal() ?? ''
  // An empty secret is none.
  if (secret === '' || oauth.clientAuth === 'none') return None()
  return clientAuthOf(server, oauth.clientAuth) === 'basic' ? basic(secret) : ClientSecretPost(secret)
}

/** RFC 7523 §3: it is for the issuer, and for its token endpoint where a server has no name. */
function signed(privateKey: string, { issuer, token }: Server): ClientAuth {
  const signing = signingKey(privateKey)
  const kid = keyIdOf(privateKey)
  const key = { key: signing, ...(kid !== undefined && { kid }) }
  if (issuer !== null) return PrivateKeyJwt(key)
  const forTheEndpoint = (_: object, claims: Record<string, unknown>) => {
    claims['aud'] = token
  }
  return PrivateKeyJwt(key, { [modifyAssertion]: forTheEndpoint })
}

function proofless(way: 'private_key_jwt' | 'tls'): ValetkeyError {
  const what = way === 'tls' ? 'a certificate with its private key' : 'a private key'
  return new ValetkeyError('provider-not-configured', `our client at the provider proves itself by ${what}`, {
    hint: 'valetkey register … --private-key-stdin < key.pem',
  })
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
