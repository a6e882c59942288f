import { readFile, rename, writeFile } from 'node:fs/promises'
import * as oauth from 'openid-client'
import { clock, type TokenFile, type Tokens } from './report.ts'

const REDIRECT = 'http://127.0.0.1/'

/** A program as many are: tokens in a file that all of them read, and whoever finds them dead renews them. */
export function withTokenFile(file: TokenFile) {
  return async () => {
    let tokens = await read(file)
    if (tokens.expiresAt <= clock()) tokens = await renew(file, tokens)
    const authorization = `Bearer ${tokens.accessToken}`
    const answer = await fetch(new URL('/me', file.origin), { headers: { authorization } })
    return { status: answer.status, text: `${authorization} ${await answer.text()}` }
  }
}

/** What somebody else renewed in the meantime is as good. */
async function renew(file: TokenFile, tokens: Tokens): Promise<Tokens> {
  try {
    return await keep(file, await oauth.refreshTokenGrant(clientOf(file), tokens.refreshToken))
  } catch (error) {
    const now = await read(file)
    if (now.refreshToken === tokens.refreshToken) throw error
    return now
  }
}

/** Signs in, and puts what was issued into the file; gives the token in it. The browser is handed in. */
export async function signInToFile(file: TokenFile, browser: (link: URL) => Promise<URL>): Promise<string> {
  const config = clientOf(file)
  const verifier = oauth.randomPKCECodeVerifier()
  const link = oauth.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT,
    scope: 'openid offline_access',
    prompt: 'consent',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  const back = await browser(link)
  const issued = await oauth.authorizationCodeGrant(config, back, { pkceCodeVerifier: verifier })
  return (await keep(file, issued)).accessToken
}

function clientOf({ origin, clientId }: TokenFile): oauth.Configuration {
  const server = {
    issuer: origin,
    authorization_endpoint: `${origin}/auth`,
    token_endpoint: `${origin}/token`,
    authorization_response_iss_parameter_supported: true,
  }
  const config = new oauth.Configuration(server, clientId, undefined, oauth.None())
  oauth.allowInsecureRequests(config)
  return config
}

async function keep({ path }: TokenFile, issued: oauth.TokenEndpointResponse): Promise<Tokens> {
  const tokens = {
    accessToken: issued.access_token,
    refreshToken: issued.refresh_token ?? '',
    expiresAt: clock() + (issued.expires_in ?? 0) * 1000,
  }
  const beside = `${path}.${process.pid}`
  await writeFile(beside, JSON.stringify(tokens), { mode: 0o600 })
  await rename(beside, path)
  return tokens
}

async function read({ path }: TokenFile): Promise<Tokens> {
  return JSON.parse(await readFile(path, 'utf8')) as Tokens
}
