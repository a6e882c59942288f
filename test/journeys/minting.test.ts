import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { awsKeysFlow } from '../../src/flows/aws-keys.ts'
import { githubAppFlow } from '../../src/flows/github-app.ts'
import { awsStsMint } from '../../src/flows/minting/aws-sts.ts'
import { githubAppMint } from '../../src/flows/minting/github-app.ts'
import { Secret } from '../../src/model/secret.ts'
import { type Aws, openAws, ROLE, USER } from '../aws.ts'
import { APP_ID, type GitHub, openGitHub, PEM } from '../github.ts'
import { openTestHouse, refusal, type TestHouse } from '../house.ts'

// One house, a GitHub App and the keys of an AWS user in it, and an agent that is bound to both.

let house: TestHouse
let github: GitHub
let aws: Aws

const secrets = (fields: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, new Secret(value)]))

beforeAll(async () => {
  const now = () => house.clock.now().getTime()
  github = await openGitHub(now)
  aws = await openAws(now)
  const origins = { 'github-app': github.origin, aws: aws.origin }
  house = await openTestHouse({
    origins,
    start: new Date(),
    flows: [githubAppFlow, awsKeysFlow],
    mints: [githubAppMint, awsStsMint],
  })
  await house.owner.connect({ provider: 'github-app', fields: secrets({ appId: APP_ID, privateKey: PEM }) })
  const SecretAccessKey = aws.keys.get(USER.id)?.secret ?? ''
  const fields = secrets({ AccessKeyId: USER.id, SecretAccessKey })
  await house.owner.connect({ provider: 'aws', flow: 'aws-keys', vars: { region: 'eu-west-1' }, fields })
  for (const address of ['github-app', 'aws'])
    await house.owner.bind({ caller: 'app:agent', address, may: ['lend', 'forward'], asks: 'never' })
  house.clock.pass({ seconds: 1 })
})

afterAll(async () => {
  await house.close()
  await github.close()
  await aws.close()
})

const agent = () => house.as('app:agent')
const everything = (lent: object) =>
  JSON.stringify(lent, (_, value) => (value instanceof Secret ? value.reveal() : value))

describe('an agent that works on one repository', () => {
  it('is lent a token for that repository alone, is told its end, and never sees the key', async () => {
    const wish = { repositories: ['acme/api'], scopes: ['contents:read'] }
    const lent = await agent().lend({ address: 'github-app', ...wish })
    expect(github.issued.at(-1)).toMatchObject({
      token: lent.token.reveal(),
      repositories: ['api'],
      permissions: { contents: 'read' },
    })
    expect(lent.expiresAt?.getTime()).toBeGreaterThan(house.clock.now().getTime() + 3_500_000)
    expect(lent.lease).toMatchObject({ until: lent.expiresAt, repositories: ['acme/api'] })
    expect(lent.lease.scopes).toEqual(['contents:read', 'metadata:read'])
    expect(everything(lent)).not.toContain(PEM.slice(100, 150))
    const used = await fetch(`${github.origin}/installation/repositories`, {
      headers: { authorization: `Bearer ${lent.token.reveal()}` },
    })
    expect(await used.json()).toMatchObject({ repositories: ['api'] })
  })

  it('is refused what the app may not do, and that is on record', async () => {
    const beyond = agent().lend({ address: 'github-app', repositories: ['acme/secrets'] })
    expect(await refusal(beyond)).toMatchObject({
      code: 'invalid-request',
      hint: expect.stringContaining('contents:write'),
    })
    const [entry] = await house.owner.audit({ verb: 'lend' })
    expect(entry).toMatchObject({ caller: 'app:agent', outcome: 'failed', code: 'invalid-request' })
  })

  it('goes on with another token, for the same, when the first is near its end', async () => {
    const wish = { address: 'github-app', repositories: ['acme/api'] }
    const first = await agent().lend(wish)
    house.clock.pass({ minutes: 57 })
    const second = await agent().lend(wish)
    expect(second.token.reveal()).not.toBe(first.token.reveal())
    expect(github.issued.at(-1)?.repositories).toEqual(['api'])
    house.clock.pass({ minutes: 1 })
  })

  it('has nothing left once the account is revoked', async () => {
    const { token } = await agent().lend({ address: 'github-app', repositories: ['acme/web'] })
    const { lines, livesOn } = await house.owner.revoke('github-app')
    expect(lines).toContainEqual({ what: 'access token', state: 'died', how: 'ended at the provider' })
    expect(lines).toContainEqual({
      what: 'private key',
      state: 'alive',
      how: 'only you can end it, at https://github.com/settings/apps',
    })
    expect(livesOn).toEqual([])
    expect(github.issued.find((one) => one.token === token.reveal())?.dead).toBe(true)
    expect(await refusal(agent().lend({ address: 'github-app' }))).toMatchObject({ code: 'not-connected' })
  })
})

describe('an agent that works on AWS', () => {
  it('is lent three values that die, in a role and for the actions that are named', async () => {
    const wish = { audience: ROLE, scopes: ['s3:GetObject'] }
    const lent = await agent().lend({ address: 'aws', ...wish })
    expect(Object.keys(lent.fields)).toEqual(['AccessKeyId', 'SecretAccessKey', 'SessionToken'])
    expect(lent.lease).toMatchObject({ audience: ROLE, scopes: ['s3:GetObject'], until: lent.expiresAt })
    expect(everything(lent)).not.toContain(aws.keys.get(USER.id)?.secret)
  })

  it('is lent keys that die in the place of those that do not, without a wish as well', async () => {
    const [account] = (await house.owner.accounts()).filter(({ providerId }) => providerId === 'aws')
    expect(account).toMatchObject({ forwardOnly: false, subject: USER.arn })
    const lent = await agent().lend({ address: 'aws' })
    expect(lent.expiresAt).not.toBeNull()
    expect(lent.fields['SecretAccessKey']?.reveal()).not.toBe(aws.keys.get(USER.id)?.secret)
    expect(await refusal(agent().reveal({ address: 'aws' }))).toMatchObject({ code: 'not-allowed' })
  })

  it('has requests signed that it sends through Valetkey, for the host that it names', async () => {
    const forward = (path: string, more = {}) =>
      agent().forward({ address: 'aws', method: 'GET', path, ...more })
    const listed = await forward('https://s3.eu-west-1.amazonaws.com/bucket?list-type=2')
    expect([listed.status, aws.seen.at(-1)]).toMatchObject([
      200,
      { service: 's3', region: 'eu-west-1', by: USER.arn },
    ])
    const headers = {
      'x-amz-target': 'DynamoDB_20120810.ListTables',
      'x-amz-security-token': 'of somebody else',
    }
    const more = { method: 'POST', body: '{}', headers }
    const asked = await forward('https://dynamodb.eu-west-1.amazonaws.com/', more)
    expect([asked.status, aws.seen.at(-1)]).toMatchObject([200, { service: 'dynamodb', body: '{}' }])
    const flowing = { method: 'PUT', body: new Blob(['x'.repeat(3_000_000)]).stream() }
    const put = await forward('https://s3.eu-west-1.amazonaws.com/bucket/large', flowing)
    expect([put.status, aws.seen.at(-1)?.body.length]).toEqual([200, 3_000_000])
    // Whoever may only forward could have keys made there, and read them in the answer.
    for (const host of ['evil.test', 'sts.eu-west-1.amazonaws.com', 'sts.amazonaws.com', 'iam.amazonaws.com'])
      expect(await refusal(forward(`https://${host}/`))).toMatchObject({ code: 'host-not-allowed' })
  })

  it('keeps what was lent until its end, and its owner is told so', async () => {
    const { expiresAt } = await agent().lend({ address: 'aws' })
    const { lines, livesOn } = await house.owner.revoke('aws')
    expect(lines).toMatchObject([{ what: 'access key', state: 'alive' }])
    expect(livesOn.filter(({ caller }) => caller === 'app:agent').map(({ until }) => until)).toContainEqual(
      expiresAt,
    )
  })
})
