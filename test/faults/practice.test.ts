import * as oauth from 'openid-client'
import { afterEach, describe, expect, it } from 'vitest'
import { visitorOf } from '../../src/practice/visitor.ts'
import { faults } from '../../src/testing/faults.ts'
import { countsOf, type LonePractice, practiceBehindFaults, practiceProcess } from './practice.ts'

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

async function signedIn({ origin }: LonePractice) {
  const insecure = { execute: [oauth.allowInsecureRequests] }
  const client = await oauth.discovery(origin, 'valetkey-practice', undefined, oauth.None(), insecure)
  const pkceCodeVerifier = oauth.randomPKCECodeVerifier()
  const link = oauth.buildAuthorizationUrl(client, {
    redirect_uri: 'http://127.0.0.1:53122/back',
    scope: 'openid offline_access',
    prompt: 'consent',
    code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  })
  const back = await visitorOf({ origin }).consent(link)
  const tokens = await oauth.authorizationCodeGrant(client, back, { pkceCodeVerifier, idTokenExpected: true })
  return { client, token: tokens.refresh_token ?? '' }
}

describe('a practice provider in a process of its own', () => {
  it('counts what was done with it where everybody can read it', async () => {
    const practice = await practiceProcess({ grace: 60 })
    open.push(practice)
    const { client, token } = await signedIn(practice)
    await oauth.refreshTokenGrant(client, token)
    await oauth.refreshTokenGrant(client, token)
    expect(await countsOf(practice)).toMatchObject({ tokens: 3, refreshes: 2, refused: 0 })
  })
})

describe.each([false, true])('a practice provider behind faults, in a process of its own: %s', (process) => {
  it('is known by the address of the proxy, and counts a refresh whose answer was lost', async () => {
    const practice = await practiceBehindFaults({ process })
    open.push(practice)
    const { client, token } = await signedIn(practice)
    practice.proxy.next(faults.loseAnswer, 'POST /token')
    await expect(oauth.refreshTokenGrant(client, token)).rejects.toThrow()
    expect(await countsOf(practice)).toMatchObject({ refreshes: 1, refused: 0 })
    await expect(oauth.refreshTokenGrant(client, token)).rejects.toMatchObject({ error: 'invalid_grant' })
  })
})
