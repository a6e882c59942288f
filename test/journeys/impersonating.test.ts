import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { jwtBearerFlow } from '../../src/flows/jwt-bearer.ts'
import { googleImpersonationMint } from '../../src/flows/minting/google-impersonation.ts'
import { Secret } from '../../src/model/secret.ts'
import { type Google, OTHER, openGoogle, ROBOT } from '../google.ts'
import { openTestHouse, refusal, type TestHouse } from '../house.ts'

const SCOPE = 'https://www.googleapis.com/auth/devstorage.read_only'

let google: Google
let house: TestHouse

beforeAll(async () => {
  google = await openGoogle(() => house.clock.now().getTime())
  house = await openTestHouse({
    origins: { 'google-service-account': google.origin },
    start: new Date(),
    flows: [jwtBearerFlow()],
    mints: [googleImpersonationMint],
  })
  const fields = { key: new Secret(google.key) }
  const { account } = await house.owner.connect({ provider: 'google-service-account', fields })
  expect(account).toMatchObject({ subject: ROBOT, forwardOnly: false })
  const address = 'google-service-account'
  await house.owner.bind({ caller: 'app:agent', address, may: ['lend'], asks: 'never' })
})
afterAll(async () => {
  await house.close()
  await google.close()
})

const lend = (wish: object) => house.as('app:agent').lend({ address: 'google-service-account', ...wish })

describe('a service account of Google', () => {
  it('signs what it asks for, and is lent as a token that dies', async () => {
    const lent = await lend({})
    expect(google.said).toMatchObject({ iss: ROBOT, aud: 'https://oauth2.googleapis.com/token' })
    expect(google.issued.get(lent.token.reveal())).toBe(ROBOT)
    expect(lent.expiresAt?.getTime()).toBeGreaterThan(house.clock.now().getTime() + 3_500_000)
  })

  it('acts as another account that is lent in its place, for the scopes that are named alone', async () => {
    const lent = await lend({ audience: OTHER, scopes: [SCOPE] })
    expect(google.issued.get(lent.token.reveal())).toBe(`${OTHER} ${SCOPE}`)
    expect(lent.lease).toMatchObject({ audience: OTHER, scopes: [SCOPE], until: lent.expiresAt })
    expect(JSON.stringify(lent, (_, it) => (it instanceof Secret ? it.reveal() : it))).not.toContain(
      'PRIVATE KEY',
    )
  })

  it('is refused what Google refuses it, and what is no account', async () => {
    const stranger = 'stranger@a-project.iam.gserviceaccount.com'
    expect(await refusal(lend({ audience: stranger, scopes: [SCOPE] }))).toMatchObject({
      code: 'invalid-request',
    })
    expect(await refusal(lend({ audience: 'https://evil.test', scopes: [SCOPE] }))).toMatchObject({
      code: 'invalid-request',
    })
  })

  it('has a new token once the old one is over, by the key that never left', async () => {
    const { token } = await lend({ audience: OTHER, scopes: [SCOPE] })
    house.clock.pass({ seconds: 4000 })
    const again = await lend({ audience: OTHER, scopes: [SCOPE] })
    expect(again.token.reveal()).not.toBe(token.reveal())
    expect([...google.issued.values()].filter((whom) => whom === ROBOT)).toHaveLength(2)
  })
})
