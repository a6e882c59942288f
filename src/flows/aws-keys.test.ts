import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Aws, openAws, ROLE, USER } from '../../test/aws.ts'
import { builtInStage } from '../../test/built-in-stage.ts'
import { refusal } from '../../test/house.ts'
import type { FlowContext } from '../model/flow.ts'
import type { Wish } from '../model/mint.ts'
import { Secret } from '../model/secret.ts'
import { openNetwork } from '../network/network.ts'
import { readBuiltIn } from '../providers/built-in.ts'
import { openCatalogue } from '../providers/catalogue.ts'
import { flowContract } from '../testing/flow-contract.ts'
import { issuedBy } from '../testing/oauth-stage.ts'
import { awsKeysFlow } from './aws-keys.ts'
import { awsStsMint } from './minting/aws-sts.ts'

const rooms = { openNetwork, openCatalogue, readBuiltIn }

let aws: Aws

beforeEach(async () => {
  aws = await openAws()
})
afterEach(() => aws.close())

const stage = (known: Readonly<Record<string, string>> = {}): FlowContext =>
  builtInStage(rooms, { provider: 'aws', flow: 'aws-keys', origin: aws.origin, known })

const secretOf = (there: Aws) => there.keys.get(USER.id)?.secret ?? ''
const keysOf = (there: Aws) => ({ AccessKeyId: USER.id, SecretAccessKey: secretOf(there) })
const fields = (values: Readonly<Record<string, string>>) => ({
  fields: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, new Secret(value)])),
})

flowContract('aws-keys', async () => {
  const there = await openAws()
  const context = builtInStage(rooms, { provider: 'aws', flow: 'aws-keys', origin: there.origin })
  return {
    flow: () => awsKeysFlow,
    context,
    answer: () => fields(keysOf(there)),
    wrongAnswer: () => fields({ ...keysOf(there), SecretAccessKey: 'x'.repeat(40) }),
    secrets: [secretOf(there)],
    close: async () => {
      await context.network.close()
      await there.close()
    },
  }
})

const signIn = async () => issuedBy(await awsKeysFlow.begin(stage(keysOf(aws))))

describe('access keys of AWS', () => {
  it('are tried by asking AWS whose they are, signed for its region', async () => {
    const { credential, profile } = issuedBy(
      await awsKeysFlow.begin(stage({ ...keysOf(aws), region: 'eu-west-1' })),
    )
    expect(profile).toEqual({
      subject: USER.arn,
      displayName: 'user/alice of 123456789012',
      vars: { region: 'eu-west-1' },
    })
    expect(credential).toMatchObject({ standing: true, expiresAt: null, tokenType: 'AWS4-HMAC-SHA256' })
    expect(aws.seen).toMatchObject([{ service: 'sts', region: 'eu-west-1' }])
  })

  it.each([
    [
      'a key that AWS does not know',
      { AccessKeyId: 'AKIAIOSFODNN7OTHERXX' },
      'AWS does not know this access key',
    ],
    [
      'a secret that is another',
      { SecretAccessKey: 'x'.repeat(40) },
      'AWS does not accept this secret access key',
    ],
  ])('are asked for again, with the reason: %s', async (_, wrong, because) => {
    const turn = await awsKeysFlow.begin(stage({ ...keysOf(aws), ...wrong }))
    expect(turn).toMatchObject({ step: { ask: 'fill', because, code: 'invalid-credentials' } })
  })

  it('are kept without proof by whoever insists, while AWS is down', async () => {
    aws.next = { status: 503, body: '' }
    const turn = await awsKeysFlow.begin({ ...stage(keysOf(aws)), insist: true })
    expect(issuedBy(turn).profile.subject).toBeNull()
  })

  it('are had in the language that is documented as well', async () => {
    aws.inXml = true
    const { credential, profile } = await signIn()
    expect(profile.subject).toBe(USER.arn)
    const { worn, expiresAt } = await awsStsMint.mint(stage(), credential, { audience: ROLE })
    expect(aws.keys.get(worn['AccessKeyId']?.reveal() ?? '')?.secret).toBe(worn['SecretAccessKey']?.reveal())
    expect(Number(expiresAt) - Date.now()).toBeGreaterThan(3_500_000)
    const turn = await awsKeysFlow.begin(stage({ ...keysOf(aws), SecretAccessKey: 'x'.repeat(40) }))
    expect(turn).toMatchObject({ step: { because: 'AWS does not accept this secret access key' } })
  })

  it('are not believed an answer that is no JSON', async () => {
    aws.next = { status: 200, body: '<GetCallerIdentityResponse/>' }
    expect(await awsKeysFlow.begin(stage(keysOf(aws)))).toMatchObject({ step: { code: 'bad-answer' } })
  })

  it('are ended by a person alone', async () => {
    const { credential } = await signIn()
    expect(await awsKeysFlow.revoke(stage(), credential)).toEqual([
      {
        what: 'access key',
        died: false,
        how: 'only you can end it, at https://console.aws.amazon.com/iam/home#/security_credentials',
      },
    ])
  })
})

describe('keys of AWS that die', () => {
  const mint = async (wish: Wish) => awsStsMint.mint(stage(), (await signIn()).credential, wish)

  it('are had for those that do not, with their end', async () => {
    const { worn, kept, expiresAt, standing } = await mint({})
    expect(Object.keys(worn)).toEqual(['AccessKeyId', 'SecretAccessKey', 'SessionToken'])
    expect([kept, standing]).toEqual([{}, false])
    expect(expiresAt?.getTime()).toBeGreaterThan(Date.now() + 3_500_000)
    expect(worn['SecretAccessKey']?.reveal()).not.toBe(secretOf(aws))
    expect(new URLSearchParams(aws.seen.at(-1)?.body).get('Action')).toBe('GetSessionToken')
  })

  it('are those of a role, for no more than the actions that are named', async () => {
    const { scopes } = await mint({ audience: ROLE, scopes: ['s3:GetObject', 's3:ListBucket'] })
    const form = new URLSearchParams(aws.seen.at(-1)?.body)
    expect([form.get('Action'), form.get('RoleArn'), form.get('DurationSeconds')]).toEqual([
      'AssumeRole',
      ROLE,
      '3600',
    ])
    expect(JSON.parse(form.get('Policy') ?? '')).toEqual({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: ['s3:GetObject', 's3:ListBucket'], Resource: '*' }],
    })
    expect(scopes).toEqual(['s3:GetObject', 's3:ListBucket'])
  })

  it.each([
    [{ audience: `${ROLE}-other` }, 'AWS does not let this key do that'],
    [{ audience: 'reports' }, 'this is no role of AWS'],
    [{ audience: ROLE, scopes: ['everything'] }, 'this is no action of AWS'],
    [{ scopes: ['s3:GetObject'] }, 'AWS gives a user no less than all, only a role'],
    [{ repositories: ['a/b'] }, 'AWS has no repositories to hold a key to'],
  ])('are refused for a wish that cannot be fulfilled: %j', async (wish, message) => {
    expect(await refusal(mint(wish))).toMatchObject({ code: 'invalid-request', message })
  })
})
