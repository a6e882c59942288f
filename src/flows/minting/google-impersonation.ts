import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import type { Mint, Wish } from '../../model/mint.ts'
import { Secret } from '../../model/secret.ts'
import { fetchWearing } from '../../protocol/proving.ts'
import { strictJson } from '../../protocol/strict-json.ts'
import { knownValues } from '../authorization/server.ts'
import { askApi, readAs } from '../issued/api-answer.ts'
import { refuseWished } from './wishes.ts'

const LIVES = '3600s'
const EMAIL =
  /^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?@[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?\.gserviceaccount\.com$/

const issued = z.object({
  accessToken: z.string().min(1),
  expireTime: z.iso.datetime({ offset: true }),
})

/** A token of a service account that this account may act as: for an hour, and for what is wished alone. */
export const googleImpersonationMint: Mint = {
  how: 'google-impersonation',
  async mint(context, credential, wish) {
    refuseWished(wish, ['repositories'], 'Google has no repositories to hold a token to')
    const scopes = scopesOf(wish)
    const url = addressOf(context, accountOf(wish))
    const body = JSON.stringify({ scope: scopes, lifetime: LIVES })
    const headers = { 'content-type': 'application/json' }
    const heard = await askApi(wearing(context, credential), url, { method: 'POST', headers, body })
    if (!heard.isWell) throw refusalOf(heard.answer.status)
    const { accessToken, expireTime } = readAs(issued, strictJson(heard.answer.text))
    return {
      worn: { accessToken: new Secret(accessToken) },
      kept: {},
      standing: false,
      expiresAt: new Date(expireTime),
      scopes,
      tokenType: 'Bearer',
    }
  },
}

function scopesOf({ scopes }: Wish): readonly string[] {
  if (scopes !== undefined) return scopes
  throw new ValetkeyError('invalid-request', 'a token of a service account is for scopes that are named', {
    hint: '--scope https://www.googleapis.com/auth/devstorage.read_only',
  })
}

function accountOf({ audience = '' }: Wish): string {
  if (EMAIL.test(audience)) return audience
  throw new ValetkeyError('invalid-request', 'this is no service account', {
    hint: '--audience reports@my-project.iam.gserviceaccount.com',
  })
}

function addressOf(context: FlowContext, account: string): URL {
  const { catalogue, provider, signIn } = context
  if (signIn.mint?.how !== 'google-impersonation')
    throw new ValetkeyError('config-invalid', `${provider.id} does not say where to impersonate`)
  const destination = catalogue.destination(provider, knownValues(context))
  return destination.place(`${signIn.mint.url}/${encodeURIComponent(account)}:generateAccessToken`)
}

/** The same way out, on which every request wears the account's own token. */
function wearing(context: FlowContext, credential: Credential): Pick<FlowContext, 'network' | 'now'> {
  const { network, now, signIn } = context
  const worn = { present: signIn.present, headers: {}, credential, now }
  return {
    now,
    network: { ...network, fetch: (url, request = {}) => fetchWearing(network, url, plain(request), worn) },
  }
}

type Sent = Parameters<typeof fetchWearing>[2]

function plain({ body, ...request }: Parameters<FlowContext['network']['fetch']>[1] & object): Sent {
  return { ...request, body: typeof body === 'string' ? body : null }
}

function refusalOf(status: number): ValetkeyError {
  if (status === 401)
    return new ValetkeyError('invalid-token', 'Google does not accept the token of this account any more')
  if (status === 403 || status === 404)
    return new ValetkeyError(
      'invalid-request',
      'this account may not act as that service account, or not for these scopes',
      {
        hint: 'at Google it needs the role Service Account Token Creator on it, and the scope cloud-platform here',
      },
    )
  if (status === 400) return new ValetkeyError('invalid-request', 'Google does not know one of these scopes')
  return new ValetkeyError(
    'bad-answer',
    `Google answered ${status}, which says nothing of the service account`,
  )
}
