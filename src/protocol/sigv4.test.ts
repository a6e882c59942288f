import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Aws, openAws, USER } from '../../test/aws.ts'
import { refusal } from '../../test/house.ts'
import { signed, signsBody, type ToSign } from './sigv4.ts'

let aws: Aws

beforeAll(async () => {
  aws = await openAws()
})
afterAll(() => aws.close())

const key = () => ({ id: USER.id, secret: aws.keys.get(USER.id)?.secret ?? '' })

/** Signed for one of Amazon's hosts, and sent to a server that verifies with Amazon's own library. */
async function send(link: string, more: Partial<ToSign> & { sent?: string; session?: string } = {}) {
  const at = new URL(link)
  const url = new URL(at.pathname + at.search, aws.origin)
  const { sent, session, ...rest } = more
  const asked = { method: 'GET', url, at, body: null, ...rest }
  const proof = await signed(asked, { ...key(), session }, new Date())
  const headers = { ...asked.headers, ...Object.fromEntries(proof) }
  const body = sent ?? (typeof asked.body === 'string' ? asked.body : undefined)
  const answer = await fetch(url, { method: asked.method, headers, ...(body && { body }) })
  return { status: answer.status, said: await answer.text(), seen: aws.seen.at(-1) }
}

describe('a request signed by AWS Signature Version 4', () => {
  it.each([
    ['https://dynamodb.eu-central-1.amazonaws.com/', 'dynamodb', 'eu-central-1'],
    [
      'https://s3.us-west-2.amazonaws.com/bucket/a%20key%2Bwith(all)%C3%A9?list-type=2&prefix=a%2Fb',
      's3',
      'us-west-2',
    ],
    ['https://s3.us-east-1.amazonaws.com/bucket//twice/./x?acl', 's3', 'us-east-1'],
    ['https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08', 'iam', 'us-east-1'],
    ['https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/a%3Ab/invocations', 'lambda', 'eu-west-1'],
    ['https://monitoring.eu-west-1.amazonaws.com/?b=2&a=1&a=0&c=%20x*~', 'monitoring', 'eu-west-1'],
    ['https://bedrock-runtime.us-east-1.amazonaws.com/model/a.b-v1%3A0/invoke', 'bedrock', 'us-east-1'],
    ['https://api.sagemaker.eu-west-1.amazonaws.com/', 'sagemaker', 'eu-west-1'],
  ])('is accepted where Amazon verifies it: %s', async (link, service, region) => {
    const { status, said, seen } = await send(link)
    expect([status, said]).toEqual([200, expect.stringContaining(USER.arn)])
    expect(seen).toMatchObject({ service, region })
  })

  it('takes in the body, and what else is Amazon’s own', async () => {
    const more = { method: 'POST', body: '{"TableName":"t"}', headers: { 'x-amz-target': 'DynamoDB.Scan' } }
    expect(await send('https://dynamodb.eu-west-1.amazonaws.com/', more)).toMatchObject({ status: 200 })
    const other = { ...more, sent: '{"TableName":"u"}' }
    expect(await send('https://dynamodb.eu-west-1.amazonaws.com/', other)).toMatchObject({ status: 403 })
  })

  it('puts the caller’s own hash, time and session aside', async () => {
    const theirs = { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', 'x-amz-date': '20200101T000000Z' }
    const link = 'https://dynamodb.eu-west-1.amazonaws.com/'
    expect(await send(link, { headers: theirs })).toMatchObject({ status: 200 })
  })

  it('wears the session of a key that dies', async () => {
    aws.keys.set('ASIAIOSFODNN7EXAMPLE', { secret: key().secret, session: 'session-1', arn: 'arn:of:it' })
    const url = new URL('/', aws.origin)
    const at = new URL('https://sqs.eu-west-1.amazonaws.com/')
    const dying = { id: 'ASIAIOSFODNN7EXAMPLE', secret: key().secret, session: 'session-1' }
    const proof = await signed({ method: 'GET', url, at, body: null }, dying, new Date())
    expect(Object.fromEntries(proof)).toMatchObject({ 'x-amz-security-token': 'session-1' })
    expect((await fetch(url, { headers: Object.fromEntries(proof) })).status).toBe(200)
  })

  it('leaves a body that is not all there unsigned at S3, and nowhere else', async () => {
    const { body: _, ...flowing } = { method: 'PUT', body: '' }
    const url = new URL('/bucket/key', aws.origin)
    const at = new URL('https://s3.eu-west-1.amazonaws.com/bucket/key')
    const proof = Object.fromEntries(await signed({ ...flowing, url, at }, key(), new Date()))
    expect(proof['x-amz-content-sha256']).toBe('UNSIGNED-PAYLOAD')
    expect((await fetch(url, { method: 'PUT', headers: proof, body: 'whatever' })).status).toBe(200)
    const sqs = new URL('https://sqs.eu-west-1.amazonaws.com/')
    expect([signsBody(at), signsBody(sqs)]).toEqual([false, true])
    expect(await refusal(signed({ ...flowing, url, at: sqs }, key(), new Date()))).toMatchObject({
      code: 'invalid-request',
      message: 'this body is too long to be signed',
    })
  })

  it('does not sign for a body whose pieces somebody else signed', async () => {
    const headers = { 'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD' }
    const link = 'https://s3.eu-west-1.amazonaws.com/bucket/key'
    expect(await refusal(send(link, { headers }))).toMatchObject({ code: 'invalid-request' })
  })

  it.each(['https://amazonaws.com.evil.test/', 'https://evil.test/', 'https://sts.evil-amazonaws.com/'])(
    'is not had for a host that is not Amazon’s: %s',
    async (link) => {
      expect(await refusal(send(link))).toMatchObject({ code: 'invalid-request' })
    },
  )

  it('tells nobody the key', async () => {
    const url = new URL('https://sqs.eu-west-1.amazonaws.com/')
    const proof = await signed({ method: 'GET', url, body: null }, key(), new Date())
    expect(JSON.stringify(proof)).not.toContain(key().secret)
  })
})
